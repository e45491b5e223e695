package mounts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/coverage"
	"github.com/mocker-runtime/mocker/tests/drive"
)

const firstWins = "with runc 1.1 the first of two wins"

// attributes are the options that every file system has, and what of the
// mount /proc/self/mountinfo shows with them.
var attributes = []struct {
	options string
	want    string
	own     string // why other runtimes are not asked
}{
	{"", "rw,relatime", ""},
	{"defaults", "rw,relatime", "runc 1.1 gives it to the file system"},
	{"ro", "ro,relatime", ""},
	{"ro,rw", "rw,relatime", ""},
	{"rw,ro", "ro,relatime", ""},
	{"nosuid", "rw,nosuid,relatime", ""},
	{"nosuid,suid", "rw,relatime", ""},
	{"nodev", "rw,nodev,relatime", ""},
	{"nodev,dev", "rw,relatime", ""},
	{"noexec", "rw,noexec,relatime", ""},
	{"noexec,exec", "rw,relatime", ""},
	{"noatime", "rw,noatime", ""},
	{"noatime,atime", "rw,relatime", ""},
	{"nodiratime", "rw,nodiratime,relatime", ""},
	{"nodiratime,diratime", "rw,relatime", ""},
	{"relatime", "rw,relatime", ""},
	{"norelatime", "rw,relatime", ""},
	{"strictatime", "rw", ""},
	{"strictatime,nostrictatime", "rw,relatime", ""},
	{"nosuid,nodev,noexec,ro,noatime", "ro,nosuid,nodev,noexec,noatime", ""},
	{"nosymfollow", "rw,relatime,nosymfollow", "since runc 1.2"},
	{"nosymfollow,symfollow", "rw,relatime", "since runc 1.2"},
	{"silent", "rw,relatime", "since runc 1.2"},
	{"loud", "rw,relatime", "since runc 1.2"},

	{"rro", "ro,relatime", ""},
	{"rro,rrw", "rw,relatime", firstWins},
	{"rnosuid", "rw,nosuid,relatime", ""},
	{"rnosuid,rsuid", "rw,relatime", firstWins},
	{"rnodev", "rw,nodev,relatime", ""},
	{"rnodev,rdev", "rw,relatime", firstWins},
	{"rnoexec", "rw,noexec,relatime", ""},
	{"rnoexec,rexec", "rw,relatime", firstWins},
	{"rnodiratime", "rw,nodiratime,relatime", ""},
	{"rnodiratime,rdiratime", "rw,relatime", firstWins},
	{"rnoatime", "rw,noatime", ""},
	{"rnoatime,ratime", "rw,relatime", firstWins},
	{"rrelatime", "rw,relatime", ""},
	{"rnorelatime", "rw,relatime", "runc 1.1 makes it strictatime, crun too"},
	{"rstrictatime", "rw", ""},
	{"rstrictatime,rnostrictatime", "rw,relatime", "an error of runc 1.1"},
	{"rnosymfollow", "rw,relatime,nosymfollow", ""},
	{"rnosymfollow,rsymfollow", "rw,relatime", firstWins},

	{"user", "rw,nosuid,nodev,noexec,relatime", "of mount(8) alone"},
	{"users", "rw,nosuid,nodev,noexec,relatime", "of mount(8) alone"},
	{"user,exec", "rw,nosuid,nodev,relatime", "of mount(8) alone"},
	{"owner", "rw,nosuid,nodev,relatime", "of mount(8) alone"},
	{"group", "rw,nosuid,nodev,relatime", "of mount(8) alone"},
	{"nouser", "rw,relatime", "of mount(8) alone"},
	{"auto", "rw,relatime", "of mount(8) alone"},
	{"noauto", "rw,relatime", "of mount(8) alone"},
	{"nofail", "rw,relatime", "of mount(8) alone"},
	{"_netdev", "rw,relatime", "of mount(8) alone"},
	{"x-systemd.automount", "rw,relatime", "of mount(8) alone"},
	{"X-mount.mkdir", "rw,relatime", "of mount(8) alone"},
	{"comment=what it is for", "rw,relatime", "of mount(8) alone"},
}

// fileSystems are what the options are tried on. A bind mount begins with the
// attributes of what it is a mount of, here none.
func fileSystems(t *testing.T) map[string]specs.Mount {
	t.Helper()
	lower := hostTmpfs(t, 0)
	return map[string]specs.Mount{
		"tmpfs":   mount("tmpfs", "tmpfs", ""),
		"ramfs":   mount("ramfs", "ramfs", ""),
		"proc":    mount("proc", "proc", ""),
		"sysfs":   mount("sysfs", "sysfs", ""),
		"mqueue":  mount("mqueue", "mqueue", ""),
		"devpts":  mount("devpts", "devpts", ""),
		"overlay": mount("overlay", "overlay", "", "lowerdir="+lower+":/etc"),
		"bind":    mount("bind", hostTmpfs(t, 0), "", "bind"),
		"rbind":   mount("none", hostTmpfs(t, 0), "", "rbind"),
	}
}

// TestAttributes tries every option of every mount on every file system, in
// one container for each.
func TestAttributes(t *testing.T) {
	coverage.Shows(t, "mounts.options", "mounts.type")
	systems := fileSystems(t)
	for _, typ := range slices.Sorted(maps.Keys(systems)) {
		t.Run(typ, func(t *testing.T) {
			var list []specs.Mount
			for n, a := range attributes {
				if drive.Others() && !asked(typ, a.options, a.own) {
					continue
				}
				m := systems[typ]
				m.Destination = fmt.Sprintf("/mnt/%d", n)
				m.Options = append(slices.Clone(m.Options), split(a.options)...)
				list = append(list, m)
			}
			table := mountsOf(newBox(t, mountinfo, list...).prints())
			for n, a := range attributes {
				if drive.Others() && !asked(typ, a.options, a.own) {
					continue
				}
				got := table[fmt.Sprintf("/mnt/%d", n)].options
				if got != a.want {
					t.Errorf("%q: %s, want %s", a.options, got, a.want)
				}
			}
		})
	}
}

// asked reports whether another runtime has an option: runc 1.1 knows the
// recursive ones with bind mounts only.
func asked(typ, options, own string) bool {
	recursive := strings.HasPrefix(options, "rn") || strings.HasPrefix(options, "rs") || options == "rro"
	return own == "" && (!recursive || strings.HasSuffix(typ, "bind"))
}

func split(options string) []string {
	if options == "" {
		return nil
	}
	return strings.Split(options, ",")
}

// TestBindKeepsAttributes: a bind mount keeps the attributes of its source but
// for those that are named.
func TestBindKeepsAttributes(t *testing.T) {
	source := hostTmpfs(t, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME|unix.MS_RDONLY)
	for _, c := range []struct{ options, want, own string }{
		{"bind", "ro,nosuid,nodev,noexec,noatime", ""},
		{"bind,ro", "ro,nosuid,nodev,noexec,noatime", "runc 1.1 drops what is not named"},
		{"bind,rw,suid,dev,exec,relatime", "rw,relatime", "since runc 1.2"},
		{"bind,exec", "ro,nosuid,nodev,noatime", "since runc 1.2"},
		{"bind,atime", "ro,nosuid,nodev,noexec,relatime", "since runc 1.2"},
		{"rbind,rrw,rsuid", "rw,nodev,noexec,noatime", ""},
	} {
		if drive.Others() && c.own != "" {
			continue
		}
		table := mountsOf(newBox(t, mountinfo, mount("bind", source, "/mnt", split(c.options)...)).prints())
		if got := table["/mnt"].options; got != c.want {
			t.Errorf("%s: %s, want %s", c.options, got, c.want)
		}
	}
}

// TestRecursiveAttributes: "ro" is for the mount itself, "rro" for all that is
// below it as well.
func TestRecursiveAttributes(t *testing.T) {
	coverage.Shows(t, "mounts.options")
	source := hostTmpfs(t, 0)
	write(t, source+"/file", "")
	hostIn(t, "sh", "-c", "cd "+source+" && mkdir -p a/b && mount -n -t tmpfs sub a && mkdir a/b && mount -n -t tmpfs sub a/b")
	t.Cleanup(func() { hostIn(t, "sh", "-c", "umount "+source+"/a/b "+source+"/a") })
	for _, c := range []struct{ options, top, middle, bottom string }{
		{"bind", "rw,relatime", "", ""},
		{"bind,ro", "ro,relatime", "", ""},
		{"bind,rro", "ro,relatime", "", ""},
		{"rbind", "rw,relatime", "rw,relatime", "rw,relatime"},
		{"rbind,ro", "ro,relatime", "rw,relatime", "rw,relatime"},
		{"rbind,rro", "ro,relatime", "ro,relatime", "ro,relatime"},
		{"rbind,rro,rnosuid", "ro,nosuid,relatime", "ro,nosuid,relatime", "ro,nosuid,relatime"},
		{"rbind,rnoatime", "rw,noatime", "rw,noatime", "rw,noatime"},
		{"rbind,ro,rnoexec", "ro,noexec,relatime", "rw,noexec,relatime", "rw,noexec,relatime"},
	} {
		table := mountsOf(newBox(t, mountinfo, mount("none", source, "/mnt", split(c.options)...)).prints())
		got := []string{table["/mnt"].options, table["/mnt/a"].options, table["/mnt/a/b"].options}
		if want := []string{c.top, c.middle, c.bottom}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", c.options, got, want)
		}
	}
}

// TestSuperblock: options that belong to the file system.
func TestSuperblock(t *testing.T) {
	for _, c := range []struct {
		typ, options string
		want         string // among what mountinfo shows of the superblock
		own          string
	}{
		{"tmpfs", "", "rw", ""},
		{"tmpfs", "sync", "rw,sync", ""},
		{"tmpfs", "sync,async", "rw", ""},
		{"tmpfs", "dirsync", "rw,dirsync", ""},
		{"tmpfs", "lazytime", "rw,lazytime", "since runc 1.2"},
		{"tmpfs", "lazytime,nolazytime", "rw", "since runc 1.2"},
		{"tmpfs", "iversion", "rw", "since runc 1.2"},
		{"tmpfs", "iversion,size=64k,nosuid", "rw,size=64k", "since runc 1.2"},
		{"tmpfs", "iversion,noiversion", "rw", "since runc 1.2"},
		{"tmpfs", "mand", "rw", ""},
		{"tmpfs", "mand,nomand", "rw", ""},
		{"tmpfs", "size=64k,nr_inodes=20,mode=711,uid=5,gid=6", "rw,size=64k,nr_inodes=20,mode=711,uid=5,gid=6", ""},
		{"tmpfs", "size=10%,huge=never", "rw,size=", ""},
		{"proc", "hidepid=2,gid=7", "rw,gid=7,hidepid=invisible", ""},
		{"proc", "hidepid=ptraceable,subset=pid", "rw,hidepid=ptraceable,subset=pid", ""},
		{"devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5", "rw,gid=5,mode=620,ptmxmode=666", ""},
		{"devpts", "max=7", "rw,mode=600,ptmxmode=000,max=7", ""},
	} {
		if drive.Others() && c.own != "" {
			continue
		}
		got := mountsOf(newBox(t, mountinfo, mount(c.typ, c.typ, "/mnt", split(c.options)...)).prints())["/mnt"]
		if !strings.HasPrefix(got.super, c.want) || c.want == "rw" && strings.ContainsAny(got.super, "y") {
			t.Errorf("%s %s: %s, want %s", c.typ, c.options, got.super, c.want)
		}
	}
}

// TestEffects: what the options are for.
func TestEffects(t *testing.T) {
	source := hostTmpfs(t, 0)
	hostIn(t, "sh", "-c", "cd "+source+` && cp /bin/busybox . && chmod 4755 busybox && mknod null c 1 3 && ln -s busybox link && echo text >file`)
	script := `cd /mnt; (: >new) 2>/dev/null && echo writes; ./busybox true 2>/dev/null && echo executes
		(: >null) 2>/dev/null && echo opens; cat link >/dev/null 2>&1 && echo follows; rm -f new; true`
	for _, c := range []struct{ options, want, own string }{
		{"bind", "writes executes opens follows", ""},
		{"bind,ro", "executes opens follows", ""},
		{"bind,noexec", "writes opens follows", ""},
		{"bind,nodev", "writes executes follows", ""},
		{"bind,nosymfollow", "writes executes opens", "since runc 1.2"},
		{"bind,ro,noexec,nodev", "follows", ""},
	} {
		if drive.Others() && c.own != "" {
			continue
		}
		got := newBox(t, script, mount("bind", source, "/mnt", split(c.options)...)).prints()
		if got := strings.Join(strings.Fields(got), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.options, got, c.want)
		}
	}
}
