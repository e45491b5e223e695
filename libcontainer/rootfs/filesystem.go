package rootfs

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/inside"
)

const (
	maxOption = 255  // bytes of a value that fsconfig(2) takes
	maxData   = 4095 // bytes of all options that mount(2) takes: a page with its NUL
)

// newMount makes a detached mount of a new file system. When the kernel
// refuses an option, what it has to say about that is in the error.
func (r *Root) newMount(fstype, source string, data []string, attrs uint64) (int, error) {
	return r.mountAt(fstype, source, data, attrs, -1)
}

// mountAt is newMount on the place that an fd stands for; -1: nowhere.
func (r *Root) mountAt(fstype, source string, data []string, attrs uint64, place int) (int, error) {
	if source == "" {
		source = fstype
	}
	data, long := r.shorten(fstype, data)
	if long || slices.Contains(data, "iversion") {
		mnt, err := r.mountClassic(fstype, source, data, attrs)
		return r.put(mnt, place, err)
	}
	if fstype == "proc" && r.pidns != nil || len(data) >= inside.MaxOptions {
		mnt, err := r.newMountSlowly(fstype, source, data, attrs)
		return r.put(mnt, place, err)
	}
	mnt, fs, err := r.in.NewMount(fstype, slices.Insert(slices.Clone(data), 0, "source="+source), attrs, place)
	switch {
	case err == nil:
		return mnt, nil
	case fs >= 0:
		err = fmt.Errorf("%w%s", err, kernelSays(fs))
		unix.Close(fs)
	case errors.Is(err, unix.ENODEV):
		return -1, unknownType(fstype, err)
	}
	return -1, r.refused(fstype, err)
}

// put attaches a new mount, if it has been made and is to be attached.
func (r *Root) put(mnt, place int, err error) (int, error) {
	if err != nil || place < 0 {
		return mnt, err
	}
	if err := r.in.MoveMount(mnt, place); err != nil {
		unix.Close(mnt)
		return -1, err
	}
	return mnt, nil
}

// newMountSlowly is newMount call by call: for the procfs of another pid
// namespace, which an older kernel cannot mount, and very many options.
func (r *Root) newMountSlowly(fstype, source string, data []string, attrs uint64) (int, error) {
	fs, err := r.in.Fsopen(fstype)
	if errors.Is(err, unix.ENODEV) {
		return -1, unknownType(fstype, err)
	}
	if err != nil {
		return -1, r.refused(fstype, err)
	}
	defer unix.Close(fs)
	err = r.in.FsconfigString(fs, "source", source)
	if err == nil {
		err = r.configure(fs, data)
	}
	if err == nil && fstype == "proc" && r.pidns != nil {
		err = r.in.FsconfigFD(fs, "pidns", int(r.pidns.Fd()))
		if errors.Is(err, unix.EINVAL) { // before Linux 6.17
			return r.copyProc(data, attrs)
		}
	}
	if err == nil {
		err = r.in.FsconfigCreate(fs)
	}
	if err != nil {
		return -1, r.refused(fstype, fmt.Errorf("%w%s", err, kernelSays(fs)))
	}
	mnt, err := r.in.Fsmount(fs, attrs)
	return mnt, r.refused(fstype, err)
}

func unknownType(fstype string, err error) error {
	return fmt.Errorf("%w (this kernel has no file system %q)", err, fstype)
}

// CheckFilesystems makes sure that the kernel has the file systems of mounts,
// those left out that every kernel has with containers. It acts on the host's
// side; who may not ask there finds out in the container.
func CheckFilesystems(mounts []config.Mount) error {
	for i := range mounts {
		m := &mounts[i]
		switch m.Type {
		case "bind", "cgroup", "cgroup2", "proc", "sysfs", "tmpfs", "devpts", "mqueue":
			continue
		}
		if m.Remount {
			continue
		}
		fs, err := unix.Fsopen(m.Type, unix.FSOPEN_CLOEXEC)
		if err == nil {
			unix.Close(fs)
		}
		if errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("mounts[%d] (%s on %s): fsopen %s: %w", m.Index, m.Type, m.Destination, m.Type, unknownType(m.Type, err))
		}
	}
	return nil
}

// owners are the file systems that show a namespace, and so can be mounted
// only by the user namespace that owns it.
var owners = map[string]struct {
	flag      uintptr
	namespace string
	instead   string
}{
	"proc":   {unix.CLONE_NEWPID, "pid", ": bind-mount /proc instead"},
	"sysfs":  {unix.CLONE_NEWNET, "network", ": bind-mount /sys instead"},
	"mqueue": {unix.CLONE_NEWIPC, "ipc", ""},
}

// refused says what the kernel's EPERM for a file system means.
func (r *Root) refused(fstype string, err error) error {
	o, ok := owners[fstype]
	if !errors.Is(err, unix.EPERM) || !ok {
		return err
	}
	if r.cfg.NewFlags()&o.flag == 0 {
		return fmt.Errorf("%w (the container's user namespace does not own its %s namespace%s)", err, o.namespace, o.instead)
	}
	return fmt.Errorf("%w (mocker itself is in a container, which has a %s that is masked in part)", err, fstype)
}

func (r *Root) configure(fs int, data []string) error {
	for _, option := range data {
		key, value, ok := strings.Cut(option, "=")
		var err error
		if ok {
			err = r.in.FsconfigString(fs, key, value)
		} else {
			err = r.in.FsconfigFlag(fs, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shorten gives an overlay with a long list of layers one layer at a time,
// where the kernel can (6.7), and says whether an option is still too long, or
// has a comma, which older kernels do not take from fsconfig(2).
func (r *Root) shorten(fstype string, data []string) (short []string, long bool) {
	for _, option := range data {
		key, value, _ := strings.Cut(option, "=")
		if fstype == "overlay" && key == "lowerdir" && len(value) > maxOption && r.takesLayers() {
			short = append(short, layers(value)...)
			continue
		}
		short = append(short, option)
	}
	tooLong := func(option string) bool {
		_, value, _ := strings.Cut(option, "=")
		return len(value) > maxOption || fstype == "overlay" && strings.Contains(value, ",") && !r.takesLayers()
	}
	if slices.ContainsFunc(short, tooLong) {
		return data, true
	}
	return short, false
}

// takesLayers asks the kernel for the option "lowerdir+". One that takes any
// option at all is older, and looks at them later.
func (r *Root) takesLayers() bool {
	fs, err := r.in.Fsopen("overlay")
	if err != nil {
		return false
	}
	defer unix.Close(fs)
	return r.in.FsconfigString(fs, "lowerdir+", "/") == nil && r.in.FsconfigString(fs, "no-such-option", "/") != nil
}

// layers splits the value of lowerdir: "/a:/b::/data" are two layers and one
// that only holds data. Backslashes escape, and are taken off.
func layers(value string) []string {
	var list []string
	var layer strings.Builder
	key := "lowerdir+="
	for i := 0; i <= len(value); i++ {
		switch {
		case i < len(value) && value[i] == '\\' && i+1 < len(value):
			i++
			layer.WriteByte(value[i])
		case i < len(value) && value[i] != ':':
			layer.WriteByte(value[i])
		case layer.Len() == 0:
			key = "datadir+="
		default:
			list = append(list, key+layer.String())
			layer.Reset()
		}
	}
	return list
}

// superFlags are the options that are flags to mount(2), and attributes of
// mounts as its flags.
var superFlags = map[string]uintptr{
	"ro": unix.MS_RDONLY, "sync": unix.MS_SYNCHRONOUS, "dirsync": unix.MS_DIRSYNC, "mand": unix.MS_MANDLOCK,
	"lazytime": unix.MS_LAZYTIME, "iversion": unix.MS_I_VERSION,
}

// mountClassic makes a detached mount with mount(2), for what fsconfig(2)
// cannot say: long values, and iversion. mount(2) knows no detached mounts, so
// it is made on a tmpfs that nobody else can reach, and copied.
func (r *Root) mountClassic(fstype, source string, data []string, attrs uint64) (tree int, err error) {
	var flags uintptr
	var rest []string
	for _, option := range data {
		if flag, ok := superFlags[option]; ok {
			flags |= flag
		} else {
			rest = append(rest, quoteContext(option))
		}
	}
	text := strings.Join(rest, ",")
	if len(text) > maxData {
		return -1, fmt.Errorf("options of %d bytes: this kernel takes %d for a file system, %d for one of its options", len(text), maxData, maxOption)
	}
	stage, err := r.newMount("tmpfs", "tmpfs", []string{"size=4k", "mode=700"}, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(stage)
	if err := r.in.MoveMount(stage, r.fd); err != nil {
		return -1, err
	}
	// The child stands in the tmpfs, so what it calls "." is that.
	if err := r.in.Fchdir(stage, "the place to mount at"); err != nil {
		return -1, err
	}
	defer func() {
		err = errors.Join(err, r.in.Unmount(".", unix.MNT_DETACH), r.in.Chdir("/"))
	}()
	if err := r.in.Mkdirat(stage, "mount", 0o700); err != nil {
		return -1, err
	}
	if err := r.in.Mount(source, "mount", fstype, flags, text); err != nil {
		return -1, err
	}
	tree, err = r.in.OpenTree(stage, "mount", unix.OPEN_TREE_CLONE)
	if err != nil {
		return -1, err
	}
	all := unix.MountAttr{Attr_set: attrs, Attr_clr: unix.MOUNT_ATTR__ATIME, Propagation: unix.MS_PRIVATE}
	if err := r.in.MountSetattr(tree, 0, all); err != nil {
		unix.Close(tree)
		return -1, err
	}
	return tree, nil
}

// kernelSays reads the messages of a file system context: lines such as
// "e tmpfs: Bad value for 'size'".
func kernelSays(fs int) string {
	var said []string
	buf := make([]byte, 512)
	for len(said) < 4 {
		n, err := unix.Read(fs, buf)
		if err != nil || n <= 0 {
			break
		}
		line := strings.TrimSpace(string(buf[:n]))
		if strings.HasPrefix(line, "e ") {
			said = append(said, line[2:])
		}
	}
	if len(said) == 0 {
		return ""
	}
	return " (" + strings.Join(said, "; ") + ")"
}
