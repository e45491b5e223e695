package properties

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// message is what comes on a socket: data, and descriptors.
type message struct {
	data string
	fds  []int
}

// receive reads one message of a socket.
func receive(conn *net.UnixConn) (m message, err error) {
	data, oob := make([]byte, 4096), make([]byte, 4096)
	n, oobn, _, _, err := conn.ReadMsgUnix(data, oob)
	if err != nil {
		return m, err
	}
	m.data = string(data[:n])
	list, err := unix.ParseSocketControlMessage(oob[:oobn])
	for i := range list {
		fds, e := unix.ParseUnixRights(&list[i])
		m.fds, err = append(m.fds, fds...), errors.Join(err, e)
	}
	return m, err
}

// socket listens for one message, and gives it when it has come.
func socket(t *testing.T) (path string, got func() message) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "socket")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	result := make(chan message, 1)
	go func() {
		conn, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if m, err := receive(conn); err == nil {
			result <- m
		}
	}()
	return path, func() message {
		t.Helper()
		select {
		case m := <-result:
			return m
		case <-time.After(drive.Patience(10 * time.Second)):
			t.Fatal("nothing came on the socket")
		}
		return message{}
	}
}

// pidOf is the process of a pidfd, which it closes.
func pidOf(t *testing.T, m message) string {
	t.Helper()
	if len(m.fds) != 1 {
		t.Fatalf("%d descriptors came", len(m.fds))
	}
	defer unix.Close(m.fds[0])
	for line := range strings.Lines(read(t, fmt.Sprintf("/proc/self/fdinfo/%d", m.fds[0]))) {
		if pid, ok := strings.CutPrefix(line, "Pid:"); ok {
			return strings.TrimSpace(pid)
		}
	}
	t.Fatal("what came is no pidfd")
	return ""
}

// TestPidfdSocket: create, run and exec send a pidfd to who asks for it, with the
// words of runc; and create to crun's annotation.
func TestPidfdSocket(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	byFlag, flagged := socket(t)
	byAnnotation, annotated := socket(t)
	b := newBox(t, func(s *specs.Spec) {
		s.Process.Args = []string{"sleep", "1000"}
		s.Annotations = map[string]string{"run.oci.pidfd_receiver": byAnnotation}
	})
	file := filepath.Join(t.TempDir(), "pid")
	drive.OK(t, "create", "--bundle", b.bundle, "--pidfd-socket", byFlag, "--pid-file", file, b.id)
	for _, m := range []message{flagged(), annotated()} {
		if got, want := pidOf(t, m), read(t, file); got != want || m.data != "standard" {
			t.Errorf("create: pid %s, %q; want %s", got, m.data, want)
		}
	}
	drive.OK(t, "start", b.id)
	byExec, executed := socket(t)
	drive.OK(t, "exec", "--detach", "--pidfd-socket", byExec, "--pid-file", file, b.id, "sleep", "1000")
	m := executed()
	if got, want := pidOf(t, m), read(t, file); got != want || m.data != "setns" {
		t.Errorf("exec: pid %s, %q; want %s", got, m.data, want)
	}
	end(t, file)
}

// end ends the process whose pid is in a file, one of exec --detach: a child of
// the tests now, without whose end the container's has none.
func end(t *testing.T, file string) {
	t.Helper()
	pid, err := strconv.Atoi(read(t, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
		t.Error(err)
	}
	byRun, ran := socket(t)
	other := newBox(t, func(s *specs.Spec) { s.Process.Args = []string{"sleep", "1000"} })
	drive.OK(t, "run", "--detach", "--bundle", other.bundle, "--pidfd-socket", byRun, "--pid-file", file, other.id)
	if m := ran(); m.data != "standard" || pidOf(t, m) != read(t, file) {
		t.Errorf("run: %q", m.data)
	}
}

// TestPidfdSocketOfNobody: without a listener there is no container, and no
// process.
func TestPidfdSocketOfNobody(t *testing.T) {
	drive.MockersOwn(t, "Debian's runtimes do not have it")
	none := filepath.Join(t.TempDir(), "none")
	b := newBox(t)
	r := b.run("--pidfd-socket", none)
	if want := "mocker: connect to pidfd socket " + none + ": no such file or directory\n"; r.Code != 1 || r.Stderr != want {
		t.Errorf("run: %v", r)
	}
	if r := drive.Run(t, "state", b.id); r.Code == 0 {
		t.Errorf("the container is there: %v", r)
	}
	other := sleeps(t)
	r = drive.Run(t, "exec", "--pidfd-socket", none, other.id, "sleep", "1000")
	if want := "mocker: connect to pidfd socket " + none + ": no such file or directory\n"; r.Code != 255 || r.Stderr != want {
		t.Errorf("exec: %v", r)
	}
	if got := strings.Fields(drive.OK(t, "ps", "--format", "json", other.id)); len(got) != 1 || strings.Contains(got[0], ",") {
		t.Errorf("a process is left: %q", got)
	}
}

// activated runs the runtime as a service manager does that has opened a
// socket for it; extra is one more fd.
func activated(t *testing.T, b *box, env string, flags ...string) drive.Result {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	f, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	extra, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	args := append(append([]string{"run", "--bundle", b.bundle}, flags...), b.id)
	cmd := exec.Command("sh", append([]string{"-c", env + ` exec "$@"`, "sh", drive.Runtime(t)}, args...)...)
	cmd.ExtraFiles = []*os.File{f, extra}
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return drive.Result{Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode()}
}

func TestListenFDs(t *testing.T) {
	if isCrun(t) {
		t.Skip("crun does not look whom the sockets are meant for")
	}
	b := newBox(t, drive.Sh(`echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; for n in 3 4 5; do readlink /proc/self/fd/$n | sed 's/:.*//'; done`))
	const mine = `LISTEN_PID=$$ LISTEN_FDS=1`
	for _, row := range []struct {
		env   string
		flags []string
		want  string
	}{
		{mine, nil, "1 1\nsocket\n"},
		{mine, []string{"--preserve-fds", "1"}, "1 1\nsocket\n/etc/passwd\n"},
		{`LISTEN_PID=1 LISTEN_FDS=1`, nil, "\n"}, // meant for somebody else
	} {
		if r := activated(t, b, row.env, row.flags...); r.Code != 0 || r.Stdout != row.want {
			t.Errorf("%s %q: %v\nwant %q", row.env, row.flags, r, row.want)
		}
	}
	if drive.Others() {
		return
	}
	if r := activated(t, b, mine+" LISTEN_FDNAMES=web"); r.Stdout != "1 1 web\nsocket\n" {
		t.Errorf("with a name: %v", r)
	}
	r := activated(t, b, "LISTEN_PID=$$ LISTEN_FDS=3")
	if r.Code != 1 || r.Stderr != "mocker: LISTEN_FDS=3: fd 5 is not open\n" {
		t.Errorf("more than there are: %v", r)
	}
	// Without a pid namespace the process is told its pid on the host.
	drive.Edit(t, b.bundle, func(s *specs.Spec) {
		s.Process.Args = sh("echo $LISTEN_PID $$")
		for i, ns := range s.Linux.Namespaces {
			if ns.Type == specs.PIDNamespace {
				s.Linux.Namespaces = append(s.Linux.Namespaces[:i], s.Linux.Namespaces[i+1:]...)
				break
			}
		}
	})
	if f := strings.Fields(activated(t, b, mine).Stdout); len(f) != 2 || f[0] != f[1] {
		t.Errorf("without a pid namespace: %q", f)
	}
}

// manager is a service manager with a socket of its own. It takes the
// descriptors that it gets as read.
func manager(t *testing.T) (path string, next func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	said := make(chan string, 10)
	go func() {
		for {
			m, err := receive(conn)
			if err != nil {
				return
			}
			for _, fd := range m.fds {
				unix.Close(fd)
			}
			said <- m.data
		}
	}()
	return path, func() string {
		t.Helper()
		select {
		case text := <-said:
			return text
		case <-time.After(drive.Patience(10 * time.Second)):
			t.Fatal("the manager has been told nothing")
		}
		return ""
	}
}

// notifies is a program that becomes ready once the file /go is there, and
// says other things besides. logger(1) writes a datagram to /dev/log.
const notifies = `ln -s $NOTIFY_SOCKET /dev/log; logger "$(printf 'x\nMAINPID=1')"
	while [ ! -e /go ]; do sleep 0.05; done
	logger "$(printf 'x\nREADY=1')"; while [ ! -e /end ]; do sleep 0.05; done`

func TestNotifySocket(t *testing.T) {
	drive.MockersOwn(t, "runc takes READY=1 at the beginning of a message only, and this program cannot write that")
	b := newBox(t, drive.Sh(notifies))
	touch := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(b.bundle, "rootfs", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	again := func() {
		for _, name := range []string{"go", "end"} {
			_ = os.Remove(filepath.Join(b.bundle, "rootfs", name))
		}
	}
	command := func(path string, args ...string) *drive.Cmd {
		return drive.Start(t, "env", append([]string{"NOTIFY_SOCKET=" + path, drive.Runtime(t)}, args...)...)
	}
	pid := func() string {
		return strings.TrimSpace(strings.Trim(drive.OK(t, "ps", "--format", "json", b.id), "[]\n"))
	}
	t.Run("start", func(t *testing.T) {
		path, next := manager(t)
		if r := command(path, "create", "--bundle", b.bundle, b.id).Wait(); r.Code != 0 {
			t.Fatal(r)
		}
		start := command(path, "start", b.id)
		drive.Eventually(t, "it runs", func() bool { return strings.Contains(drive.OK(t, "state", b.id), `"running"`) })
		main, _, _ := strings.Cut(pid(), ",")
		touch("go")
		if got, want := next(), "READY=1\nMAINPID="+main+"\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := next(); got != "BARRIER=1" {
			t.Errorf("got %q", got)
		}
		if r := start.Wait(); r.Code != 0 || r.Stderr != "" {
			t.Error(r)
		}
		drive.OK(t, "delete", "--force", b.id)
		again()
	})
	t.Run("run", func(t *testing.T) {
		path, next := manager(t)
		run := command(path, "run", "--bundle", b.bundle, b.id)
		touch("go")
		if got, want := next(), fmt.Sprintf("READY=1\nMAINPID=%d\n", run.Process.Pid); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		touch("end")
		if r := run.Wait(); r.Code != 0 || r.Stderr != "" {
			t.Error(r)
		}
		again()
	})
	t.Run("one that ends before it is ready", func(t *testing.T) {
		path, _ := manager(t)
		drive.Edit(t, b.bundle, func(s *specs.Spec) { s.Process.Args = sh("sleep 0.2") })
		if r := command(path, "run", "--detach", "--bundle", b.bundle, b.id).Wait(); r.Code != 0 || r.Stderr != "" {
			t.Error(r)
		}
	})
}
