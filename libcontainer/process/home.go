package process

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

// maxPasswd is how much of an image's /etc/passwd is read.
const maxPasswd = 1 << 20

// WithHome adds HOME to the environment if it has none: the home directory
// that the container's /etc/passwd gives the user, else /.
func WithHome(in *inside.Child, root int, p *config.Process) []string {
	for _, kv := range p.Env {
		if strings.HasPrefix(kv, "HOME=") {
			return p.Env
		}
	}
	return append(p.Env[:len(p.Env):len(p.Env)], "HOME="+homeOf(in, root, p.UID))
}

func homeOf(in *inside.Child, root int, uid uint32) string {
	// Not blocking: the image may have a FIFO there.
	fd, err := in.Openat2(root, "etc/passwd", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0,
		unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	if err != nil {
		return "/"
	}
	f := os.NewFile(uintptr(fd), "passwd")
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return "/"
	}
	id := strconv.FormatUint(uint64(uid), 10)
	lines := bufio.NewScanner(io.LimitReader(f, maxPasswd))
	for lines.Scan() {
		// name:password:UID:GID:GECOS:directory:shell (passwd(5))
		if f := strings.Split(lines.Text(), ":"); len(f) >= 6 && f[2] == id && f[5] != "" {
			return f[5]
		}
	}
	return "/"
}
