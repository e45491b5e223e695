package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/console"
	"github.com/mocker-runtime/mocker/libcontainer/notify"
)

// What a service manager that starts mocker means for the container: sockets
// that it has opened (sd_listen_fds(3)), and that it wants to be told when the
// program is ready (sd_notify(3)). And who wants a pidfd of it.

// notifyDir is in the container's directory and, like runc's, in the
// container.
const (
	notifyDir       = "notify"
	notifyDirInside = "/run/notify"
)

// Sockets are those that a service manager has opened.
type Sockets struct {
	Count int    // fds from 3 on
	Names string // LISTEN_FDNAMES; "": none
}

// setEnv sets a variable of the process.
func setEnv(p *config.Process, name, value string) {
	var kept []string
	for _, entry := range p.Env {
		if !strings.HasPrefix(entry, name+"=") {
			kept = append(kept, entry)
		}
	}
	p.Env = append(kept, name+"="+value)
}

// offerNotify gives the container a place to say that it is ready.
func (n *creation) offerNotify() error {
	if n.opts.NotifySocket == "" || n.cfg.Process == nil {
		return nil
	}
	dir := n.c.dir.Path(notifyDir)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("make a directory for NOTIFY_SOCKET: %w", err)
	}
	n.cfg.Mounts = append(n.cfg.Mounts, config.Mount{
		Index: len(n.cfg.Mounts), Destination: notifyDirInside, Type: "bind", Source: dir,
		Set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC,
	})
	setEnv(n.cfg.Process, "NOTIFY_SOCKET", notifyDirInside+"/"+notify.Socket)
	return nil
}

// passSockets tells the process of the sockets that it gets. They are meant
// for one process, by its pid as it sees it; in a pid namespace that is joined
// nobody knows it yet, and it is told runc's 1.
func (n *creation) passSockets() {
	p := n.cfg.Process
	if n.opts.Sockets.Count == 0 || p == nil {
		return
	}
	pid := 1
	if !n.cfg.Has(unix.CLONE_NEWPID) {
		pid = n.in.PID
	}
	setEnv(p, "LISTEN_FDS", strconv.Itoa(n.opts.Sockets.Count))
	setEnv(p, "LISTEN_PID", strconv.Itoa(pid))
	if n.opts.Sockets.Names != "" {
		setEnv(p, "LISTEN_FDNAMES", n.opts.Sockets.Names)
	}
}

// sendPidfd sends a pidfd of the process to who has asked for it: by flag, as
// with runc, or by crun's annotation.
func (n *creation) sendPidfd() error {
	for _, socket := range []string{n.opts.PidfdSocket, n.cfg.Annotations["run.oci.pidfd_receiver"]} {
		if socket == "" {
			continue
		}
		if err := console.Pass("pidfd socket", socket, "standard", n.in.Pidfd); err != nil {
			return err
		}
	}
	return nil
}

// ListenReady is to be called before Start, if the service manager at the
// socket host is to be told when the container's program is ready. One whose
// create did not know of it says nothing.
func (c *Container) ListenReady(host string) error {
	if host == "" {
		return nil
	}
	relay, err := notify.Listen(c.dir.Path(notifyDir), host)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c.relay = relay
	return err
}

// WaitReady waits until the program is ready or has ended, and tells the
// service manager that asked with ListenReady. mainPID is the process that it
// is to watch from then on; 0 is the container's.
func (c *Container) WaitReady(mainPID int) error {
	if c.relay == nil {
		return nil
	}
	st, err := c.dir.Load()
	if err != nil {
		return err
	}
	pidfd, err := c.pidfd(st)
	if errors.Is(err, ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	if mainPID == 0 {
		mainPID = st.Init.PID
	}
	return c.relay.Wait(pidfd, mainPID)
}
