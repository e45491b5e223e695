// Command target says how it has been started.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/mocker-runtime/mocker/libcontainer/entry"
)

func main() {
	comm, _ := os.ReadFile("/proc/self/comm")
	fmt.Printf("%s|%s|%v|%s", os.Getenv(entry.Mark), strings.TrimSpace(string(comm)), entry.Renamed(), strings.Join(os.Args[1:], " "))
}
