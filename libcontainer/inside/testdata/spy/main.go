// Command spy is a hostile process of a container: it looks at every other
// process of its pid namespace as fast as it can, and writes what it sees
// that is not the container's to /report. It stops when /stop exists. A second
// argument is what it writes about a process that it may not look at.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	runtime.LockOSThread() // ptrace(2) is a matter between threads
	report, err := os.Create("/report")
	if err != nil {
		os.Exit(1)
	}
	canary := []byte(os.Args[1])
	for turn := 0; ; turn++ {
		if turn%64 == 0 {
			if _, err := os.Stat("/stop"); err == nil {
				break
			}
		}
		for _, pid := range others() {
			look(report, pid, canary)
		}
	}
	fmt.Fprintln(report, "end")
}

// others are the pids of the namespace but the init and the spy itself.
func others() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var list []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil && pid != 1 && pid != os.Getpid() {
			list = append(list, pid)
		}
	}
	return list
}

// look holds the process still, if it can, and looks before it may go on.
func look(report *os.File, pid int, canary []byte) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	if unix.PtraceSeize(pid) == nil {
		if unix.PtraceInterrupt(pid) == nil {
			var ws unix.WaitStatus
			_, _ = unix.Wait4(pid, &ws, unix.WALL, nil)
		}
		defer func() { _ = unix.PtraceDetach(pid) }()
	}
	exe, err := os.Readlink(dir + "exe")
	if errors.Is(err, unix.EACCES) && len(os.Args) > 2 {
		fmt.Fprintln(report, os.Args[2])
	}
	if err != nil || exe == "/true" || exe == "/spy" {
		return // gone, or the container's own by now
	}
	fmt.Fprintln(report, "looked")
	fds(report, dir)
	same(report, dir, "root")
	same(report, dir, "cwd")
	capabilities(report, dir)
	memory(report, pid, dir, canary)
}

func fds(report *os.File, dir string) {
	f, err := os.Open(dir + "fd")
	if err != nil {
		return
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	for _, n := range names {
		if fd, _ := strconv.Atoi(n); fd > 2 {
			to, _ := os.Readlink(dir + "fd/" + n)
			fmt.Fprintf(report, "fd %s -> %s\n", n, to)
		}
	}
}

func same(report *os.File, dir, what string) {
	var own, its unix.Stat_t
	if unix.Stat("/", &own) != nil || unix.Stat(dir+what, &its) != nil {
		return
	}
	if own.Dev != its.Dev || own.Ino != its.Ino {
		fmt.Fprintf(report, "%s is not the container's root\n", what)
	}
}

func capabilities(report *os.File, dir string) {
	status, _ := os.ReadFile(dir + "status")
	for line := range strings.Lines(string(status)) {
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			if v, ok := strings.CutPrefix(line, set+":"); ok && strings.Trim(v, " \t\n0") != "" {
				fmt.Fprint(report, line)
			}
		}
	}
}

// memory searches everything that can be read for a secret of the host.
func memory(report *os.File, pid int, dir string, canary []byte) {
	maps, _ := os.ReadFile(dir + "maps")
	mem, err := os.Open(dir + "mem")
	if err != nil {
		return
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		var start, end uint64
		if n, _ := fmt.Sscanf(line, "%x-%x", &start, &end); n != 2 || end-start > 64<<20 {
			continue
		}
		buf := make([]byte, end-start)
		n, _ := mem.ReadAt(buf, int64(start))
		if bytes.Contains(buf[:n], canary) {
			fmt.Fprintf(report, "the secret in %s", line)
		}
	}
}
