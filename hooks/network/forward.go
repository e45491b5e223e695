package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

const (
	ipForward = "/proc/sys/net/ipv4/ip_forward"
	ipv4Conf  = "/proc/sys/net/ipv4/conf"
)

// forwarding notes that ip_forward was 0 before mocker turned it on.
type forwarding struct {
	// Restore holds the settings that do not survive ip_forward going on
	// and off: the kernel then resets them all (ip-sysctl, "ip_forward";
	// inet_forward_change). Values by file.
	Restore map[string]string `json:"restore,omitempty"`
}

// forwardingOff reports whether the host does not forward packets.
func forwardingOff() (bool, error) {
	value, err := readSysctl(ipForward)
	return value == "0", err
}

// noteForwarding returns what must be known to undo turning ip_forward on:
// where it is off, single links may still forward, and redirects be refused,
// other than the kernel would leave it.
func noteForwarding() (*forwarding, error) {
	f := &forwarding{Restore: map[string]string{}}
	links, err := os.ReadDir(ipv4Conf)
	if err != nil {
		return nil, err
	}
	for _, link := range links {
		if link.Name() == "all" {
			continue // is ip_forward
		}
		path := ipv4Conf + "/" + link.Name() + "/forwarding"
		value, err := readSysctl(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the link has just gone
		}
		if err != nil {
			return nil, err
		}
		if value != "0" {
			f.Restore[path] = value
		}
	}
	redirects := ipv4Conf + "/all/accept_redirects"
	value, err := readSysctl(redirects)
	if err != nil {
		return nil, err
	}
	if value != "1" {
		f.Restore[redirects] = value
	}
	return f, nil
}

// undo turns ip_forward off and sets again what goes with it.
func (f *forwarding) undo() error {
	if err := writeSysctl(ipForward, "0"); err != nil {
		return err
	}
	for path, value := range f.Restore {
		if err := writeSysctl(path, value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func readSysctl(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("look at a kernel setting: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}
