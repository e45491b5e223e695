// Command target says how it has been started.
package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/entry"
	"github.com/mocker-runtime/mocker/libcontainer/nofile"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "nofile" {
		soft, hard := nofile.Original()
		var now unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &now)
		stdin, _ := os.Readlink("/proc/self/fd/0")
		fmt.Println(soft, hard, now.Cur, now.Max, stdin)
		return
	}
	comm, _ := os.ReadFile("/proc/self/comm")
	fmt.Printf("%s|%s|%v|%s", os.Getenv(entry.Mark), strings.TrimSpace(string(comm)), entry.Renamed(), strings.Join(os.Args[1:], " "))
}
