package specconv

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// BoxOptions are the choices of a box, a container that `mocker run` makes of
// an image and flags, as docker does. Texts are those of the flags; "" stands
// for the default.
type BoxOptions struct {
	Mocker    string                      // absolute path of mocker, for the network hooks
	LookupEnv func(string) (string, bool) // the caller's environment
	Terminal  bool
	Rootless  bool // for the calling user: a user namespace with AllIDs, see Rootless

	Memory, CPUs    string
	PidsLimit       int64    // 0 or less: no limit
	Env             []string // NAME=VALUE, or NAME for the caller's
	Volumes         []string // HOST:CONTAINER[:ro]
	Annotations     []string // NAME=VALUE
	Workdir         string
	User            string // user[:group], names or numbers
	Hostname        string
	Network         string // veth, none or host
	ReadOnly        bool
	CapAdd, CapDrop []string
}

// Box is a box that has been checked as far as that goes without making it.
type Box struct {
	image   *Image
	opts    BoxOptions
	limits  limits
	caps    []string
	env     []string
	volumes []volume

	annotations map[string]string
}

// NewBox checks the options. Errors name the flag.
func NewBox(image *Image, opts BoxOptions) (*Box, error) {
	b := &Box{image: image, opts: opts}
	for _, check := range []func(*Box) error{
		(*Box).checkLimits, (*Box).checkCapabilities, (*Box).checkEnv, (*Box).checkVolumes,
		(*Box).checkAnnotations, (*Box).checkNames,
	} {
		if err := check(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *Box) checkLimits() (err error) {
	if b.limits.memory, err = parseMemory(b.opts.Memory); err != nil {
		return fmt.Errorf("--memory %s: %w", b.opts.Memory, err)
	}
	if b.limits.quota, err = parseCPUs(b.opts.CPUs); err != nil {
		return fmt.Errorf("--cpus %s: %w", b.opts.CPUs, err)
	}
	b.limits.pids = max(b.opts.PidsLimit, 0)
	return nil
}

func (b *Box) checkCapabilities() (err error) {
	b.caps, err = changeCapabilities(b.opts.CapAdd, b.opts.CapDrop)
	return err
}

func (b *Box) checkEnv() error {
	b.env = []string{defaultPath, "HOSTNAME=" + b.opts.Hostname}
	if b.opts.Terminal {
		b.env = append(b.env, "TERM=xterm")
	}
	for _, entry := range b.opts.Env {
		name, _, given := strings.Cut(entry, "=")
		if name == "" {
			return fmt.Errorf("--env %s: no name", entry)
		}
		if !given {
			value, ok := b.opts.LookupEnv(name)
			if !ok {
				continue
			}
			entry += "=" + value
		}
		b.env = append(b.env, entry)
	}
	return nil
}

func (b *Box) checkVolumes() (err error) {
	b.volumes, err = parseVolumes(b.opts.Volumes)
	return err
}

func (b *Box) checkAnnotations() error {
	b.annotations = map[string]string{}
	for _, entry := range b.opts.Annotations {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || name == "" {
			return fmt.Errorf("--annotation %s: want NAME=VALUE", entry)
		}
		b.annotations[name] = value
	}
	return nil
}

func (b *Box) checkNames() error {
	if dir := b.opts.Workdir; !path.IsAbs(dir) {
		return fmt.Errorf("--workdir %s: not an absolute path", dir)
	}
	const limit = 64 // __NEW_UTS_LEN, sethostname(2)
	if name := b.opts.Hostname; name == "" || len(name) > limit || strings.ContainsAny(name, " \t\n#/:") {
		return fmt.Errorf("--hostname %q: not a host name of at most %d bytes", name, limit)
	}
	switch b.opts.Network {
	case "veth":
		if b.opts.Rootless {
			return errors.New("--network veth: it takes root: an ordinary user has none or host")
		}
	case "none", "host":
	default:
		return fmt.Errorf("--network %s: want veth, none or host", b.opts.Network)
	}
	return nil
}

// MakeVolumes makes the directories of the host that are to be volumes and do
// not exist. undo removes those that it made and that are still empty.
func (b *Box) MakeVolumes() (undo func(), err error) { return makeDirs(b.volumes) }

// ownRoot is the root file system in the bundle of a box without a directory.
const ownRoot = "rootfs"

// Make fills an empty directory with the bundle of the box, and gives what
// its config.json means.
func (b *Box) Make(bundle string) (*config.Config, error) {
	root := b.image.Dir
	if root == "" {
		root = filepath.Join(bundle, ownRoot)
		if err := makeDir(root, 0o755); err != nil {
			return nil, err
		}
		if err := fillRootfs(root, b.image.busybox); err != nil {
			return nil, err
		}
	}
	user, err := lookUpUser(root, b.opts.User)
	if err != nil {
		return nil, fmt.Errorf("--user %s: %w", b.opts.User, err)
	}
	files, err := b.makeFiles(bundle)
	if err != nil {
		return nil, err
	}
	spec := b.spec()
	spec.Process.User = user
	if b.opts.Rootless && len(spec.Linux.GIDMappings) == 1 && spec.Linux.GIDMappings[0].Size == 1 {
		// Who maps nothing but its own id has to give up setgroups(2).
		spec.Process.User.AdditionalGids = nil
	}
	addMounts(spec, files)
	if err := Write(bundle, spec); err != nil {
		return nil, err
	}
	return Convert(spec, bundle)
}

// spec is the spec of the busybox bundle with the choices of the box. Unlike
// there, and as with docker, setuid programs work.
func (b *Box) spec() *specs.Spec {
	spec := busyboxSpec(b.opts.Mocker)
	spec.Version = specs.Version
	spec.Hostname = b.opts.Hostname
	spec.Root = &specs.Root{Path: ownRoot, Readonly: b.opts.ReadOnly}
	if b.image.Dir != "" {
		spec.Root.Path = b.image.Dir
	}
	spec.Annotations = b.annotations
	spec.Process = &specs.Process{
		Terminal:     b.opts.Terminal,
		Args:         b.image.Args,
		Env:          b.env,
		Cwd:          b.opts.Workdir,
		Capabilities: grant(b.caps),
	}
	if b.opts.Rootless {
		network := spec.Linux.Namespaces
		uids, gids := AllIDs()
		Rootless(spec, uids, gids)
		spec.Linux.Resources = &specs.LinuxResources{}
		// Only the hook takes root: a network of lo alone does not.
		spec.Linux.Namespaces = append(spec.Linux.Namespaces, only(network, specs.NetworkNamespace)...)
	}
	limit(spec.Linux.Resources, b.limits)
	if b.opts.Network != "veth" {
		spec.Hooks = nil
	}
	switch b.opts.Network {
	case "none":
		spec.Mounts = slices.DeleteFunc(spec.Mounts, func(m specs.Mount) bool { return m.Destination == resolvConf })
	case "host":
		spec.Linux.Namespaces = slices.DeleteFunc(spec.Linux.Namespaces, func(ns specs.LinuxNamespace) bool {
			return ns.Type == specs.NetworkNamespace
		})
	}
	return spec
}

func only(list []specs.LinuxNamespace, kind specs.LinuxNamespaceType) []specs.LinuxNamespace {
	return slices.DeleteFunc(slices.Clone(list), func(ns specs.LinuxNamespace) bool { return ns.Type != kind })
}

// makeFiles makes the container's own /etc/hosts and /etc/hostname in the
// bundle, so that a directory that is used in place keeps its own, and gives
// their mounts and those of the volumes.
func (b *Box) makeFiles(bundle string) ([]specs.Mount, error) {
	hosts := hostsFile(b.opts.Hostname)
	if b.opts.Network == "host" {
		text, err := os.ReadFile("/etc/hosts")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		hosts = string(text) + "127.0.0.1\t" + b.opts.Hostname + "\n"
	}
	var mounts []specs.Mount
	for _, f := range []struct{ name, text string }{
		{"hosts", hosts},
		{"hostname", b.opts.Hostname + "\n"},
	} {
		file := filepath.Join(bundle, f.name)
		if err := makeFile(file, []byte(f.text), 0o644); err != nil {
			return nil, err
		}
		mounts = append(mounts, specs.Mount{
			Destination: "/etc/" + f.name,
			Type:        "bind",
			Source:      file,
			Options:     []string{"bind", "rprivate", "nosuid", "nodev", "noexec"},
		})
	}
	for i := range b.volumes {
		mounts = append(mounts, b.volumes[i].mount())
	}
	return mounts, nil
}

// changeCapabilities adds to docker's default and takes away from it, as
// docker does: ALL is for every one, and names go with or without CAP_, in any
// case. What is added stays, whatever is dropped, unless ALL are added.
func changeCapabilities(add, drop []string) ([]string, error) {
	plus, err := parseCapabilities("--cap-add", add)
	if err != nil {
		return nil, err
	}
	minus, err := parseCapabilities("--cap-drop", drop)
	if err != nil {
		return nil, err
	}
	const all = "ALL"
	keep := func(name string) bool { return plus[name] || slices.Contains(dockerCapabilities, name) && !minus[name] }
	switch {
	case plus[all]:
		keep = func(name string) bool { return !minus[name] }
	case minus[all]:
		keep = func(name string) bool { return plus[name] }
	}
	var list []string
	for _, name := range capabilityNames {
		if keep(name) {
			list = append(list, name)
		}
	}
	return list, nil
}

func parseCapabilities(flag string, texts []string) (map[string]bool, error) {
	set := map[string]bool{}
	for _, text := range texts {
		name := strings.ToUpper(text)
		if name != "ALL" && !strings.HasPrefix(name, "CAP_") {
			name = "CAP_" + name
		}
		if _, ok := capability(name); !ok && name != "ALL" {
			return nil, fmt.Errorf("%s %s: no capability has this name", flag, text)
		}
		set[name] = true
	}
	return set, nil
}
