package specconv

import (
	"errors"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// FuzzProcess wants of a process.json what FuzzConvert wants of a config.json.
func FuzzProcess(f *testing.F) {
	for _, text := range []string{
		"", "null", "[]", "{}", `{"args":["true"],"cwd":"/"}`, `{"args":["a\u0000b"],"cwd":"/"}`, `{"args":[""],"cwd":"tmp"}`, `{"args":null,"cwd":"/../.."}`,
		`{"args":["x"],"cwd":"/","user":{"uid":4294967295,"gid":1,"additionalGids":[4294967295]}}`, `{"args":["x"],"cwd":"/","user":{"uid":-1}}`,
		`{"args":["x"],"cwd":"/","rlimits":[{"type":"RLIMIT_CORE","hard":1,"soft":2},{"type":"RLIMIT_CORE","hard":1,"soft":1}]}`,
		`{"args":["x"],"cwd":"/","capabilities":{"ambient":["CAP_KILL","cap_kill",""]},"oomScoreAdj":1001,"env":["A","=","A=b=c"]}`,
		`{"args":["x"],"cwd":"/","terminal":true,"consoleSize":{"height":70000,"width":1},"apparmorProfile":"a b","selinuxLabel":"x\n"}`,
		`{"args":["x"],"cwd":"/","scheduler":{"policy":"SCHED_DEADLINE","runtime":1},"ioPriority":{"class":"x","priority":9},"execCPUAffinity":{"initial":"0-"}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		name := filepath.Join(t.TempDir(), "process.json")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		given, err := LoadProcess(name)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "load "+name+": ") {
				t.Fatalf("no file in %q", err)
			}
			return
		}
		p, _, err := ConvertProcess(given, name)
		if err != nil {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("no file in %q", err)
			}
			return
		}
		if len(p.Args) == 0 || !path.IsAbs(p.Cwd) || p.UID == math.MaxUint32 || p.GID == math.MaxUint32 {
			t.Errorf("process %+v", p)
		}
		for _, word := range append(append([]string{p.Cwd}, p.Args...), p.Env...) {
			if strings.Contains(word, "\x00") {
				t.Errorf("%q has a NUL", word)
			}
		}
	})
}

// FuzzMountOptions wants of each option that it is one of those in features,
// with or without a value, or is left to the file system; and that a mount
// never sets and clears one flag.
func FuzzMountOptions(f *testing.F) {
	for _, text := range []string{
		"tmpfs\nnosuid\nsize=1k", "bind\nrbind\nro\nrw", "proc\nremount\nrro\nrrw", "none\nbind\nidmap=uids=0-1-10", "cgroup\nrslave\nrshared\nprivate",
		"bind\nridmap\nidmap", "overlay\nlowerdir=a:b\nlowerdir+=c", "tmpfs\nmode=1777,size=1", "tmpfs\n=", "tmpfs\nuid=\ngid=1\n\x00", "none\nnosymfollow\ntmpcopyup",
	} {
		f.Add(text)
	}
	dir := bundle(f)
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		spec := exampleDocument(t).spec(t)
		spec.Root.Path = "rootfs"
		spec.Mounts = []specs.Mount{{Destination: "/a", Source: "/b", Type: lines[0], Options: lines[1:]}}
		cfg, err := Convert(spec, dir)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "config.json: ") {
				t.Errorf("no file in %q", err)
			}
			return
		}
		for _, m := range cfg.Mounts {
			checkMount(t, m)
		}
	})
}

func checkMount(t *testing.T, m config.Mount) {
	t.Helper()
	if m.Set&m.Clear&^0x70 != 0 || m.RecSet&m.RecClear&^0x70 != 0 {
		t.Errorf("%+v sets and clears one attribute", m)
	}
	for _, d := range m.Data {
		if strings.Contains(d, "\x00") || d == "" {
			t.Errorf("data %q", d)
		}
	}
}

// FuzzUser wants ids that a plain reading of the text gives, and of the files
// of an image no other than those in them.
func FuzzUser(f *testing.F) {
	for _, given := range []string{"0", "1:2", "root", "a:b", ":", "1:", ":1", "00", "4294967295", "1x", "-1", "a:b:c", "\x00", "root:0"} {
		f.Add(given, "root:x:0:0:root:/:/bin/sh\na:x:1:2::/:\nbad\nb:x:-1:4294967295:::\n", "b:x:7:a,root\nc:x:8:\n")
	}
	root := f.TempDir()
	if err := os.Mkdir(root+"/etc", 0o755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, given, passwd, group string) {
		for name, text := range map[string]string{"passwd": passwd, "group": group} {
			if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		id, ok := ParseID(given)
		digits := given != "" && strings.Trim(given, "0123456789") == ""
		if ok && (!digits || strings.TrimLeft(strconv.FormatUint(uint64(id), 10), "0") != strings.TrimLeft(given, "0")) {
			t.Errorf("%q is read as %d", given, id)
		}
		u, err := lookUpUser(root, given)
		if err != nil {
			return
		}
		if u.UID == math.MaxUint32 || u.GID == math.MaxUint32 {
			t.Errorf("%q is %+v", given, u)
		}
		// Root is only who is called so by a number or a line.
		name, _, _ := strings.Cut(given, ":")
		zero := name == "" || strings.Trim(name, "0") == ""
		if u.UID == 0 && !zero && !strings.Contains(passwd, name) {
			t.Errorf("%q is root", given)
		}
	})
}

// FuzzVolume wants an absolute source and a destination below the root.
func FuzzVolume(f *testing.F) {
	for _, text := range []string{"/a:/b", "./a:/b:ro", "a:/b", "/a:/", "/a:/..", "/a:b", ":", "/a:/b:rw:ro", "/a:/b/../../c", "\x00:/\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseVolume(text)
		if err == nil && (!filepath.IsAbs(v.source) || path.Clean(v.destination) != v.destination || !path.IsAbs(v.destination) || v.destination == "/") {
			t.Errorf("%q is %+v", text, v)
		}
		if err != nil && errors.Unwrap(err) == nil && !strings.HasPrefix(err.Error(), "--volume ") {
			t.Errorf("no flag in %q", err)
		}
	})
}
