// Package state keeps what mocker knows of a container between two commands:
// the directory <root>/<id>/, the lock on it and the file state.json in it.
//
// It acts on the host's side only. It owns the names below the root and the
// identity of processes (pid and start time); what the stages mean, when to
// lock and what else lies in the directory is the business of libcontainer.
//
// Nothing is synced to disk: the root is meant to be on a tmpfs, and no
// process outlives the machine.
package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"golang.org/x/sys/unix"
)

// Format is the version of state.json that this package reads and writes.
const Format = 1

const (
	stateFile = "state.json"
	stateTemp = "state.json.tmp" // the next one while it is written, afterwards the one before
)

// The stages that a create goes through, as State.Stage. What has been
// created is then running, stopped and so on by what its processes do.
const (
	Creating = "creating" // set by Reserve's caller before anything else is made
	Created  = "created"  // everything is in place
)

// State is the content of state.json. It is written before the first thing
// is made and again when something is added, so that whatever a crash
// leaves behind can be found from it.
type State struct {
	Format  int       `json:"format"` // filled in by Save
	Version string    `json:"ociVersion"`
	ID      string    `json:"id"`
	Bundle  string    `json:"bundle"`
	Rootfs  string    `json:"rootfs"`
	Created time.Time `json:"created"`
	Owner   string    `json:"owner"` // user name of the creator
	Stage   string    `json:"stage"`

	Annotations map[string]string `json:"annotations,omitempty"`

	Creator Proc `json:"creator"` // the mocker that creates, or created, it
	Init    Proc `json:"init"`    // zero until it has been born

	CgroupPaths map[string]string `json:"cgroupPaths,omitempty"` // (*cgroups.Cgroup).Paths

	CgroupsFound []string        `json:"cgroupsFound,omitempty"` // (*cgroups.Cgroup).Found
	Mounts       []uint64        `json:"mounts,omitempty"`       // ids of those on Rootfs, where delete has to take them away
	Delegate     string          `json:"delegate,omitempty"`     // config.Cgroup.Delegate
	Limits       json.RawMessage `json:"limits,omitempty"`       // cgroups.Resources and more; raw, for they are long and only update reads them
	Hooks        config.Hooks    `json:"hooks"`                  // those that run after create

	RDT    *config.RDTGroup `json:"rdt,omitempty"` // its class of service; nil: none
	Traits config.Traits    `json:"traits"`        // of its processes, those of exec too

	// Process is what startContainer hooks run as; nil if there are none.
	Process *config.Process `json:"process,omitempty"`

	// Labels are those of the container's process: exec's where it says nothing
	// else.
	Labels config.Labels `json:"labels"`

	Hooked    bool `json:"hooked,omitempty"`    // hooks of create have begun to run: poststop hooks are owed
	SharedPID bool `json:"sharedPid,omitempty"` // no pid namespace of its own: its processes do not end with the first
	NoKeyring bool `json:"noKeyring,omitempty"` // it has no session keyring of its own
	NoCgroup  bool `json:"noCgroup,omitempty"`  // nobody wanted it to have one
	NoProcess bool `json:"noProcess,omitempty"` // config.json has no process to start
	Filtered  bool `json:"filtered,omitempty"`  // its processes have a seccomp filter

	// Listener is the socket of the agent that the filter asks; "": it asks
	// nobody.
	Listener string `json:"listener,omitempty"`
}

// ErrNoState says that a container has a directory but no state.json: its
// create is at its very beginning, or was killed there.
var ErrNoState = errors.New("no state.json")

// Save replaces state.json as a whole: who reads at the same time sees the
// old or the new one. The caller holds the lock.
func (d *Dir) Save(st *State) error {
	st.Format = Format
	data, err := d.types.Marshal(st)
	if err != nil {
		return fmt.Errorf("encode %s: %w", d.Path(stateFile), err)
	}
	if err := d.write(stateTemp, data); err != nil {
		return err
	}
	fd := int(d.f.Fd())
	if unix.Renameat2(fd, stateTemp, fd, stateFile, unix.RENAME_EXCHANGE) == nil {
		return nil
	}
	// The first one, or a file system that cannot exchange two.
	if err := unix.Renameat(fd, stateTemp, fd, stateFile); err != nil {
		return fmt.Errorf("rename %s to %s: %w", d.Path(stateTemp), stateFile, err)
	}
	return nil
}

func (d *Dir) write(name string, data []byte) error {
	flags := unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(d.f.Fd()), name, flags, 0o600)
	if err != nil {
		return fmt.Errorf("create %s: %w", d.Path(name), err)
	}
	f := os.NewFile(uintptr(fd), d.Path(name))
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// Load reads state.json. The error wraps ErrNotExist when the container has
// been removed since Open, ErrNoState when it has none yet, and otherwise
// says what is wrong with the file; the last two name the command that gets
// rid of the container.
func (d *Dir) Load() (*State, error) { return d.load(stateFile) }

// LoadPrevious reads the state before the one that Load reads, for a clean-up
// when that one has been damaged. Errors are those of Load.
func (d *Dir) LoadPrevious() (*State, error) { return d.load(stateTemp) }

func (d *Dir) load(name string) (*State, error) {
	data, err := readFile(int(d.f.Fd()), name)
	if errors.Is(err, unix.ENOENT) {
		if d.check() != nil {
			return nil, d.errNotExist()
		}
		return nil, fmt.Errorf("read state of container %q: %w (unless it is just being created, remove it with: %s)",
			d.id, ErrNoState, d.remedy())
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.Path(name), err)
	}
	var st State
	err = d.types.Unmarshal(data, &st)
	switch {
	case err == nil && st.Format != Format:
		err = fmt.Errorf("it has format %d, this mocker reads format %d", st.Format, Format)
	case err == nil && st.ID != d.id:
		err = fmt.Errorf("it is the state of container %q", st.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w (the container cannot be used any more, remove it with: %s)",
			d.Path(name), err, d.remedy())
	}
	return &st, nil
}

// maxGuess is more than a state takes.
const maxGuess = 1 << 20

// readFile is os.ReadFile without the runtime's poller, which that sets up even
// where there is nothing to poll.
func readFile(dir int, name string) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var data bytes.Buffer
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil && st.Size < maxGuess {
		data.Grow(int(st.Size) + bytes.MinRead) // one read, and one for the end
	}
	_, err = data.ReadFrom(f)
	return data.Bytes(), err
}

// remedy is the command that removes the container whatever its state.
func (d *Dir) remedy() string {
	return "mocker --root " + d.root + " delete --force " + d.id
}

// UserName is the name of a user by /etc/passwd, or "#" and the number where
// it has none, as runc prints it. It does not ask name services: that takes
// a lookup over the network or a library, and the answer is only shown.
func UserName(uid int) string {
	if uid == 0 {
		return "root"
	}
	number := strconv.Itoa(uid)
	data, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "#" + number
	}
	for line := range strings.Lines(string(data)) {
		f := strings.SplitN(line, ":", 4)
		if len(f) == 4 && f[2] == number {
			return f[0]
		}
	}
	return "#" + number
}
