package specconv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// busyboxVersion is the specification that the busybox bundle needs, older
// than what mocker reads: runtimes refuse versions newer than themselves, and
// the bundle is to run under any.
const busyboxVersion = "1.0.2"

// BusyboxOptions are the choices of Busybox.
type BusyboxOptions struct {
	Bundle  string // directory to fill, made if its parent exists; "": the current one
	Mocker  string // absolute path of mocker, for the network hooks
	Busybox string // a static busybox; "" looks it up in PATH, /bin and /usr/bin

	Rootless bool // for the calling user and its subordinate ids: see Rootless and AllIDs
}

// Busybox fills a bundle: a config.json that runs a shell with limits and a
// network of its own, and a rootfs/ made of one static busybox. It replaces
// nothing: a config.json or a rootfs/ with something in it is an error. When
// it fails, what it made is gone again.
func Busybox(opts BusyboxOptions) error {
	if !filepath.IsAbs(opts.Mocker) {
		return fmt.Errorf("make bundle %s: path of mocker %q: not absolute", opts.Bundle, opts.Mocker)
	}
	bundle, err := filepath.Abs(opts.Bundle)
	if err != nil {
		return fmt.Errorf("make bundle %s: %w", opts.Bundle, err)
	}
	made, err := makeBundle(bundle)
	if err != nil {
		return err
	}
	if err := fillBundle(bundle, opts); err != nil {
		if made {
			os.Remove(bundle) // empty again, or somebody else's by now
		}
		return err
	}
	return nil
}

// makeBundle makes the directory unless it is there, and refuses one that
// holds a bundle already.
func makeBundle(bundle string) (made bool, err error) {
	switch err := os.Mkdir(bundle, 0o755); {
	case err == nil:
		return true, nil
	case !errors.Is(err, os.ErrExist):
		return false, fmt.Errorf("make bundle %s: %w", bundle, bare(err))
	}
	name := filepath.Join(bundle, configName)
	if _, err := os.Lstat(name); err == nil {
		return false, fmt.Errorf("write %s: file exists, remove it first", name)
	}
	return false, nil
}

// fillBundle builds the rootfs under another name and moves it into place, so
// that its removal can never touch what others put there.
func fillBundle(bundle string, opts BusyboxOptions) (err error) {
	rootfs := filepath.Join(bundle, "rootfs")
	existed, err := checkEmpty(rootfs)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(bundle, ".rootfs.")
	if err != nil {
		return fmt.Errorf("make bundle %s: %w", bundle, bare(err))
	}
	place := tmp
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(place))
			if existed && place == rootfs {
				err = errors.Join(err, os.Mkdir(rootfs, 0o755))
			}
		}
	}()
	b, err := lookUpBusybox(opts.Busybox)
	if err != nil {
		return err
	}
	if err := fillRootfs(tmp, b); err != nil {
		return err
	}
	// Over an empty directory a rename succeeds, over any other it fails.
	if err := os.Rename(tmp, rootfs); err != nil {
		var le *os.LinkError
		if errors.As(err, &le) {
			err = le.Err
		}
		return fmt.Errorf("make %s: %w", rootfs, err)
	}
	place = rootfs
	spec := busyboxSpec(opts.Mocker)
	if opts.Rootless {
		uids, gids := AllIDs()
		Rootless(spec, uids, gids)
	}
	return Write(bundle, spec)
}

// checkEmpty refuses a rootfs that is anything but absent or an empty
// directory, and says which.
func checkEmpty(rootfs string) (existed bool, err error) {
	st, err := os.Lstat(rootfs)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("make %s: %w", rootfs, bare(err))
	}
	if !st.IsDir() {
		return false, fmt.Errorf("make %s: exists and is not a directory", rootfs)
	}
	entries, err := os.ReadDir(rootfs)
	if err != nil {
		return false, fmt.Errorf("make %s: %w", rootfs, bare(err))
	}
	if len(entries) > 0 {
		return false, fmt.Errorf("make %s: directory not empty, remove it first", rootfs)
	}
	return true, nil
}

// busyboxSpec is Example with a writable root, docker's capabilities, limits,
// and the network hooks. The cgroup is left to the runtime: mocker's default
// is /mocker/<id>, and a bundle does not know its id.
func busyboxSpec(mocker string) *specs.Spec {
	spec := Example()
	spec.Version = busyboxVersion
	spec.Hostname = hostname
	spec.Root.Readonly = false
	spec.Process.Env = []string{defaultPath, "TERM=xterm", "HOME=/root"}
	spec.Process.Capabilities = grant(dockerCapabilities)
	limit(spec.Linux.Resources, limits{memory: 1 << 30, quota: cpuPeriod, pids: 1024})
	spec.Linux.Namespaces = []specs.LinuxNamespace{
		{Type: specs.PIDNamespace},
		{Type: specs.NetworkNamespace},
		{Type: specs.IPCNamespace},
		{Type: specs.UTSNamespace},
		{Type: specs.MountNamespace},
		{Type: specs.CgroupNamespace},
	}
	spec.Mounts = append(spec.Mounts, nameServers()...)
	spec.Hooks = networkHooks(mocker)
	return spec
}

// limits are what a container may use; 0 is no limit.
type limits struct {
	memory int64 // bytes
	quota  int64 // of CPU time in each cpuPeriod, in microseconds
	pids   int64
}

const cpuPeriod = 100000 // microseconds

func limit(r *specs.LinuxResources, l limits) {
	r.Memory, r.CPU, r.Pids = nil, nil, nil
	if l.memory != 0 {
		r.Memory = &specs.LinuxMemory{Limit: &l.memory}
	}
	if l.quota != 0 {
		period := uint64(cpuPeriod)
		r.CPU = &specs.LinuxCPU{Quota: &l.quota, Period: &period}
	}
	if l.pids != 0 {
		r.Pids = &specs.LinuxPids{Limit: &l.pids}
	}
}

// nameServers is the mount of the host's resolv.conf. A machine without name
// servers has no such file, and a bind mount of it would keep every container
// from starting.
func nameServers() []specs.Mount {
	if _, err := os.Stat(resolvConf); err != nil {
		return nil
	}
	return []specs.Mount{{
		Destination: resolvConf,
		Type:        "bind",
		Source:      resolvConf,
		Options:     []string{"bind", "ro", "nosuid", "nodev", "noexec"},
	}}
}

// networkHooks connect a container and take it off again, by the hook of the
// mocker at this path.
func networkHooks(mocker string) *specs.Hooks {
	hook := func() []specs.Hook {
		return []specs.Hook{{
			Path: mocker,
			Args: []string{"mocker", "hook", "network"},
			Env:  []string{defaultPath},
		}}
	}
	// prestart, deprecated as it is, is the one that every runtime has.
	return &specs.Hooks{Prestart: hook(), Poststop: hook()} //nolint:staticcheck // see above
}

const resolvConf = "/etc/resolv.conf"

// dockerCapabilities are the fourteen that docker gives by default.
var dockerCapabilities = []string{
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_FSETID",
	"CAP_FOWNER",
	"CAP_MKNOD",
	"CAP_NET_RAW",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETFCAP",
	"CAP_SETPCAP",
	"CAP_NET_BIND_SERVICE",
	"CAP_SYS_CHROOT",
	"CAP_KILL",
	"CAP_AUDIT_WRITE",
}

// grant gives these capabilities. The inheritable and ambient sets stay
// empty: a process that gives up root is not to keep them (CVE-2022-24769).
func grant(caps []string) *specs.LinuxCapabilities {
	return &specs.LinuxCapabilities{
		Bounding: slices.Clone(caps), Effective: slices.Clone(caps), Permitted: slices.Clone(caps),
	}
}
