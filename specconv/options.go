package specconv

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// optionKind says what a mount option acts on.
type optionKind int

const (
	setAttr    optionKind = iota // sets an attribute of the mount
	clearAttr                    // clears it
	setAtime                     // chooses an access time mode
	clearAtime                   // drops one, back to the kernel's default, relatime
	setSuper                     // sets a flag of the superblock
	clearSuper                   // takes it back
	bindMount                    // makes it a bind mount
	copyUp                       // tmpcopyup
	remountIt                    // changes a mount that is there
	mapIDs                       // idmap
	mayMiss                      // nofail
	noEffect                     // means what happens anyway
)

// option is one mount option that is not the file system's own.
type option struct {
	name      string
	kind      optionKind
	recursive bool
	attr      uint64 // MOUNT_ATTR_*
	flag      string // the superblock flag's name for fsconfig(2)
}

// mountOptions is the table of config.md, "Linux mount options", and of
// mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS", but for the propagation
// types, which propagation knows. mount_setattr(2) gives the meaning of
// attributes; silent and loud only concern the host's kernel log and have no
// counterpart in fsconfig(2); norelatime asks for what the kernel has not done
// otherwise since 2.6.30. What mount(8) marks as meant for /etc/fstab says
// when and by whom something is mounted, not how: there is nothing left to do
// but what user and owner imply.
var mountOptions = [...]option{
	{name: "ro", kind: setAttr, attr: unix.MOUNT_ATTR_RDONLY},
	{name: "rw", kind: clearAttr, attr: unix.MOUNT_ATTR_RDONLY},
	{name: "nosuid", kind: setAttr, attr: unix.MOUNT_ATTR_NOSUID},
	{name: "suid", kind: clearAttr, attr: unix.MOUNT_ATTR_NOSUID},
	{name: "nodev", kind: setAttr, attr: unix.MOUNT_ATTR_NODEV},
	{name: "dev", kind: clearAttr, attr: unix.MOUNT_ATTR_NODEV},
	{name: "noexec", kind: setAttr, attr: unix.MOUNT_ATTR_NOEXEC},
	{name: "exec", kind: clearAttr, attr: unix.MOUNT_ATTR_NOEXEC},
	{name: "nodiratime", kind: setAttr, attr: unix.MOUNT_ATTR_NODIRATIME},
	{name: "diratime", kind: clearAttr, attr: unix.MOUNT_ATTR_NODIRATIME},
	{name: "nosymfollow", kind: setAttr, attr: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{name: "symfollow", kind: clearAttr, attr: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{name: "relatime", kind: setAtime, attr: unix.MOUNT_ATTR_RELATIME},
	{name: "norelatime", kind: noEffect},
	{name: "noatime", kind: setAtime, attr: unix.MOUNT_ATTR_NOATIME},
	{name: "atime", kind: clearAtime, attr: unix.MOUNT_ATTR_NOATIME},
	{name: "strictatime", kind: setAtime, attr: unix.MOUNT_ATTR_STRICTATIME},
	{name: "nostrictatime", kind: clearAtime, attr: unix.MOUNT_ATTR_STRICTATIME},

	{name: "rro", kind: setAttr, recursive: true, attr: unix.MOUNT_ATTR_RDONLY},
	{name: "rrw", kind: clearAttr, recursive: true, attr: unix.MOUNT_ATTR_RDONLY},
	{name: "rnosuid", kind: setAttr, recursive: true, attr: unix.MOUNT_ATTR_NOSUID},
	{name: "rsuid", kind: clearAttr, recursive: true, attr: unix.MOUNT_ATTR_NOSUID},
	{name: "rnodev", kind: setAttr, recursive: true, attr: unix.MOUNT_ATTR_NODEV},
	{name: "rdev", kind: clearAttr, recursive: true, attr: unix.MOUNT_ATTR_NODEV},
	{name: "rnoexec", kind: setAttr, recursive: true, attr: unix.MOUNT_ATTR_NOEXEC},
	{name: "rexec", kind: clearAttr, recursive: true, attr: unix.MOUNT_ATTR_NOEXEC},
	{name: "rnodiratime", kind: setAttr, recursive: true, attr: unix.MOUNT_ATTR_NODIRATIME},
	{name: "rdiratime", kind: clearAttr, recursive: true, attr: unix.MOUNT_ATTR_NODIRATIME},
	{name: "rnosymfollow", kind: setAttr, recursive: true, attr: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{name: "rsymfollow", kind: clearAttr, recursive: true, attr: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{name: "rrelatime", kind: setAtime, recursive: true, attr: unix.MOUNT_ATTR_RELATIME},
	{name: "rnorelatime", kind: noEffect},
	{name: "rnoatime", kind: setAtime, recursive: true, attr: unix.MOUNT_ATTR_NOATIME},
	{name: "ratime", kind: clearAtime, recursive: true, attr: unix.MOUNT_ATTR_NOATIME},
	{name: "rstrictatime", kind: setAtime, recursive: true, attr: unix.MOUNT_ATTR_STRICTATIME},
	{name: "rnostrictatime", kind: clearAtime, recursive: true, attr: unix.MOUNT_ATTR_STRICTATIME},

	{name: "sync", kind: setSuper, flag: "sync"},
	{name: "async", kind: clearSuper, flag: "sync"},
	{name: "dirsync", kind: setSuper, flag: "dirsync"},
	{name: "lazytime", kind: setSuper, flag: "lazytime"},
	{name: "nolazytime", kind: clearSuper, flag: "lazytime"},
	{name: "mand", kind: setSuper, flag: "mand"},
	{name: "nomand", kind: clearSuper, flag: "mand"},
	{name: "iversion", kind: setSuper, flag: "iversion"},
	{name: "noiversion", kind: clearSuper, flag: "iversion"},

	{name: "bind", kind: bindMount},
	{name: "rbind", kind: bindMount, recursive: true},
	{name: "tmpcopyup", kind: copyUp},
	{name: "remount", kind: remountIt},
	{name: "idmap", kind: mapIDs},
	{name: "ridmap", kind: mapIDs, recursive: true},

	{name: "user", kind: setAttr, attr: unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV},
	{name: "users", kind: setAttr, attr: unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV},
	{name: "nouser", kind: noEffect},
	{name: "owner", kind: setAttr, attr: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV},
	{name: "group", kind: setAttr, attr: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV},
	{name: "nofail", kind: mayMiss},
	{name: "auto", kind: noEffect},
	{name: "noauto", kind: noEffect},
	{name: "_netdev", kind: noEffect},
	{name: "X-mount.mkdir", kind: noEffect}, // what is missing is always made
	{name: "defaults", kind: noEffect},
	{name: "silent", kind: noEffect},
	{name: "loud", kind: noEffect},
}

func lookupOption(name string) *option {
	for i := range mountOptions {
		if mountOptions[i].name == name {
			return &mountOptions[i]
		}
	}
	return nil
}

// isBind reports whether an entry of mounts is a bind mount. The options say
// so (config.md, "Mounts"), and the type "bind" can mean nothing else.
func isBind(typ string, options []string) bool {
	if typ == "bind" {
		return true
	}
	for _, text := range options {
		for _, name := range splitOptions(text) {
			if o := lookupOption(name); o != nil && o.kind == bindMount {
				return true
			}
		}
	}
	return false
}

// applyOption carries one option into the mount. Later options win over
// earlier ones, as with mount(8). at is the option's JSON path.
func applyOption(m *config.Mount, cfg *config.Config, at, text string) error {
	if flags, ok := propagation(text); ok {
		m.Propagation = append(m.Propagation, flags)
		return nil
	}
	o := lookupOption(text)
	if o == nil && strings.HasPrefix(text, "idmap=") {
		o = lookupOption("idmap")
	}
	if o == nil {
		return applyOther(m, cfg, at, text)
	}
	set, clr := &m.Set, &m.Clear
	if o.recursive {
		set, clr = &m.RecSet, &m.RecClear
	}
	switch o.kind {
	case setAttr:
		*set, *clr = *set|o.attr, *clr&^o.attr
	case clearAttr:
		*set, *clr = *set&^o.attr, *clr|o.attr
	case setAtime:
		// The modes share a field; the kernel wants all of it cleared.
		*set = *set&^unix.MOUNT_ATTR__ATIME | o.attr
		*clr |= unix.MOUNT_ATTR__ATIME
	case clearAtime:
		if *set&unix.MOUNT_ATTR__ATIME == o.attr {
			*set &^= unix.MOUNT_ATTR__ATIME
		}
		*clr |= unix.MOUNT_ATTR__ATIME
	case setSuper:
		if m.Type == "bind" || isCgroup(m.Type) {
			return refuse(at, text, "a %s mount cannot change its file system", m.Type)
		}
		m.Data = append(without(m.Data, o.flag), o.flag)
	case clearSuper:
		m.Data = without(m.Data, o.flag)
	case bindMount:
		m.Recursive = m.Recursive || o.recursive
	case copyUp:
		if m.Type != "tmpfs" {
			return refuse(at, text, "only a tmpfs can start with a copy")
		}
		m.CopyUp = true
	case remountIt:
		m.Remount = true
	case mapIDs:
		return applyIDMap(m, cfg, at, text)
	case mayMiss:
		m.MayMiss = true
	case noEffect:
	}
	return nil
}

// applyOther takes what is not in the table: comments that mount(8) leaves to
// other programs, and the options of the file system itself.
func applyOther(m *config.Mount, cfg *config.Config, at, text string) error {
	key, _, _ := strings.Cut(text, "=")
	switch {
	case strings.HasPrefix(text, "x-") || strings.HasPrefix(text, "comment="):
		return nil
	case strings.HasPrefix(text, "X-"):
		return refuse(at, text, "an option that mount(8) carries out, and no other program")
	case m.Type == "bind" && slices.Contains(tmpfsOptions, key):
		cfg.Warnings = append(cfg.Warnings, "config.json: "+at+": "+quote(text)+": ignored: a bind mount shows a file system that has its options already")
	case m.Type == "bind":
		return refuse(at, text, "a bind mount takes no file system options")
	case isCgroup(m.Type):
		return refuse(at, text, "the container gets the host's hierarchies, whose options cannot be changed")
	default:
		m.Data = append(m.Data, unquoteLabel(text))
	}
	return nil
}

// tmpfsOptions are what generators of configurations put into every mount they
// make, bind mounts included, where mount(2) does not look at them.
var tmpfsOptions = []string{"mode", "size", "nr_inodes", "nr_blocks"}

// unquoteLabel takes the quotes off an SELinux context, in which they protect
// the commas from being taken for those between options: mount(2) does that
// itself, fsconfig(2) takes a value as it is.
func unquoteLabel(text string) string {
	key, value, _ := strings.Cut(text, "=")
	switch key {
	case "context", "fscontext", "defcontext", "rootcontext":
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			return key + "=" + value[1:n-1]
		}
	}
	return text
}

func without(list []string, s string) []string {
	kept := list[:0]
	for _, e := range list {
		if e != s {
			kept = append(kept, e)
		}
	}
	return kept
}

// splitOptions splits "a,b=c" at its commas: mount(2) takes such a string
// whole, fsconfig(2) one option at a time. Commas in double quotes (SELinux
// contexts) and escaped ones (overlayfs) belong to the value.
func splitOptions(text string) []string {
	if !strings.Contains(text, ",") {
		if text == "" {
			return nil
		}
		return []string{text}
	}
	var list []string
	start, quoted := 0, false
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || text[i] == ',' && !quoted:
			if i > start {
				list = append(list, text[start:i])
			}
			start = i + 1
		case text[i] == '"':
			quoted = !quoted
		case text[i] == '\\':
			i++ // may step beyond the end
			if i >= len(text) {
				i = len(text) - 1
			}
		}
	}
	return list
}
