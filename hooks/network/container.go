package network

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// container is the far side: the process that the runtime made and its
// network namespace.
type container struct {
	pid   int
	pidfd int
	ns    *os.File        // its network namespace
	links *netlink.Handle // speaks to the kernel from inside it
}

// openContainer opens the network namespace of the container's process. It
// returns an error if the process has none of its own.
func openContainer(st *specs.State) (*container, error) {
	if st.Pid <= 0 {
		return nil, fmt.Errorf("state with status %q has no pid, and so no network namespace to connect", st.Status)
	}
	c := &container{pid: st.Pid}
	var err error
	if c.pidfd, err = unix.PidfdOpen(c.pid, 0); err != nil {
		return nil, fmt.Errorf("open process %d: %w", c.pid, err)
	}
	if err := c.enter(); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *container) enter() error {
	path := "/proc/" + strconv.Itoa(c.pid) + "/ns/net"
	var err error
	if c.ns, err = os.Open(path); err != nil {
		return err
	}
	// Only now is it sure that the path was that of our process.
	if err := c.alive(); err != nil {
		return err
	}
	its, err := c.ns.Stat()
	if err != nil {
		return err
	}
	ours, err := os.Stat("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	if os.SameFile(its, ours) {
		return fmt.Errorf("process %d shares the host's network namespace: "+
			`it needs one of its own, {"type": "network"} in linux.namespaces`, c.pid)
	}
	c.links, err = netlink.NewHandleAt(netns.NsHandle(c.ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("enter %s: %w", path, err)
	}
	return nil
}

// alive returns an error if the process has ended.
func (c *container) alive() error {
	fds := []unix.PollFd{{Fd: int32(c.pidfd), Events: unix.POLLIN}}
	var n int
	err := retry(func() (err error) { n, err = unix.Poll(fds, 0); return err })
	if err != nil {
		return fmt.Errorf("poll process %d: %w", c.pid, err)
	}
	if n > 0 {
		return fmt.Errorf("process %d: %w", c.pid, errEnded)
	}
	return nil
}

var errEnded = errors.New("it has ended")

func (c *container) close() {
	if c.links != nil {
		c.links.Close()
	}
	if c.ns != nil {
		c.ns.Close()
	}
	unix.Close(c.pidfd)
}
