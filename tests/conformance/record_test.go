package conformance

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// record is what the suite said about a runtime on a kind of machine. It lies
// in recorded/PLACE-RUNTIME.json.
type record struct {
	Runtime  string             `json:"runtime"` // first line of --version
	Programs map[string]outcome `json:"programs"`
}

// place is the kind of machine as far as the suite sees it.
func place() string {
	var st unix.Statfs_t
	if unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		return "v2"
	}
	return "v1"
}

func recordPath(place, runtime string) string {
	return filepath.Join("recorded", place+"-"+runtime+".json")
}

func loadRecord(t *testing.T, place, runtime string) record {
	t.Helper()
	rec := record{Programs: map[string]outcome{}}
	data, err := os.ReadFile(recordPath(place, runtime))
	if os.IsNotExist(err) {
		return rec
	}
	if err == nil {
		err = json.Unmarshal(data, &rec)
	}
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func saveRecord(t *testing.T, place, runtime string, rec record) {
	t.Helper()
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(rec); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("recorded", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recordPath(place, runtime), text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("RECORD") != "say" {
		return
	}
	// Nothing leaves the virtual machine but what tests say: scripts/vm.sh
	// puts it together again. Longer lines would be cut.
	const width = 1000
	for rest := base64.StdEncoding.EncodeToString(text.Bytes()); rest != ""; {
		line := rest[:min(width, len(rest))]
		rest = rest[len(line):]
		fmt.Printf("RECORD %s %s\n", filepath.Base(recordPath(place, runtime)), line)
	}
}

// version is the first line of what a runtime says about itself.
func version(t *testing.T, runtime string) string {
	t.Helper()
	out, err := exec.Command(runtime, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	if name := filepath.Base(runtime); name == "mocker" {
		return name // the version of the day says nothing
	}
	return line
}

// reason is why a program does not pass.
type reason struct {
	Program string `json:"program"`
	Place   string `json:"place,omitempty"` // "": everywhere
	Kind    string `json:"kind"`            // of kinds
	Lacks   string `json:"lacks,omitempty"` // of the machine, by the names in has
	Races   string `json:"races,omitempty"` // how it ends depends on who is faster; this status is what it can, or mostly does, end with
	Why     string `json:"why"`
}

// kinds of reasons, as docs/conformance.md explains them.
var kinds = map[string]string{
	"test":       "the program is wrong, or older than what the specification says today",
	"machine":    "the machine lacks what the program asks for",
	"deliberate": "mocker does otherwise on purpose, as runc does",
}

// has tells what a machine may lack.
var has = map[string]func() bool{
	"CAP_SYS_RESOURCE": func() bool {
		data, _ := os.ReadFile("/proc/self/status")
		_, rest, _ := strings.Cut(string(data), "CapEff:\t")
		set, _, _ := strings.Cut(rest, "\n")
		var bits uint64
		_, err := fmt.Sscanf(set, "%x", &bits)
		return err == nil && bits&(1<<unix.CAP_SYS_RESOURCE) != 0
	},
	"AppArmor": func() bool { return exists("/sys/kernel/security/apparmor/profiles") },
	"SELinux":  func() bool { return exists("/sys/fs/selinux/enforce") },
	"Linux 6.17": func() bool {
		var name unix.Utsname
		var major, minor int
		_ = unix.Uname(&name)
		_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
		return err == nil && (major > 6 || major == 6 && minor >= 17)
	},
	"net_cls": func() bool { return exists("/sys/fs/cgroup/net_cls/net_cls.classid") },
	"hugetlb on cgroup v1": func() bool {
		found, _ := filepath.Glob("/sys/fs/cgroup/hugetlb/*.limit_in_bytes")
		return len(found) > 0
	},
	"blkio.leaf_weight": func() bool {
		found, _ := filepath.Glob("/sys/fs/cgroup/blkio/*/blkio.leaf_weight")
		return len(found) > 0
	},
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

//go:embed reasons.json
var reasonsFile []byte

// reasons are those of a kind of machine, by program.
func reasons(t *testing.T, place string) map[string]reason {
	t.Helper()
	var list []reason
	dec := json.NewDecoder(bytes.NewReader(reasonsFile))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		t.Fatalf("reasons.json: %v", err)
	}
	found := map[string]reason{}
	for _, r := range list {
		if r.Place == "" || r.Place == place {
			found[r.Program] = r
		}
	}
	return found
}

var places = []string{"v1", "v2"}

// TestReasons: what mocker does not pass has a reason, what it passes has
// none, and a reason that all runtimes share is one that they all show.
func TestReasons(t *testing.T) {
	for _, place := range places {
		mocker := loadRecord(t, place, "mocker")
		given := reasons(t, place)
		for name, o := range mocker.Programs {
			if _, ok := given[name]; !ok && o.Status != pass {
				t.Errorf("%s, %s: %s without a reason", place, name, o.Status)
			}
		}
		for name, r := range given {
			o, known := mocker.Programs[name]
			if len(mocker.Programs) > 0 && (!known || o.Status == pass && r.Races == "") {
				t.Errorf("%s, %s: a reason not to pass, but it does, or is not known", place, name)
			}
			if kinds[r.Kind] == "" || r.Why == "" || (r.Lacks != "") != (r.Kind == "machine") || r.Lacks != "" && has[r.Lacks] == nil {
				t.Errorf("%s, %s: %+v is no reason", place, name, r)
			}
		}
	}
}

// docPath is the table for readers.
var docPath = filepath.Join("..", "..", "docs", "conformance.md")

// document is what docs/conformance.md has to say.
func document(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(docHead)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(&b, "- %s: %s\n", kind, kinds[kind])
	}
	for _, place := range places {
		writePlace(t, &b, place)
	}
	return b.String()
}

const docHead = `# What the OCI's validation suite says

Written by tests/conformance from what it has recorded of each runtime; "make conformance" runs the suite on mocker and
compares. See the package comment there for how to record it anew.

Each row is one program of runtime-tools. "ok n" is how many checks it made that hold; checks that were skipped because
the configuration does not ask for them are counted with them. Every program that does not pass has a reason below the
table, of one of these kinds:

`

var headings = map[string]string{
	"v1": "cgroup v1 (hybrid), without CAP_SYS_RESOURCE, AppArmor and SELinux",
	"v2": "cgroup v2, AppArmor: the virtual machine of \"make test-vm\"",
}

func writePlace(t *testing.T, b *strings.Builder, place string) {
	t.Helper()
	runtimes := []string{"mocker", "runc", "crun"}
	records := map[string]record{}
	names := map[string]bool{}
	for _, runtime := range runtimes {
		records[runtime] = loadRecord(t, place, runtime)
		for name := range records[runtime].Programs {
			names[name] = true
		}
	}
	runtimes = slices.DeleteFunc(runtimes, func(name string) bool { return len(records[name].Programs) == 0 })
	if len(runtimes) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n| program |", headings[place])
	for _, runtime := range runtimes {
		fmt.Fprintf(b, " %s |", records[runtime].Runtime)
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---|", len(runtimes)))
	passed := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(b, "| %s |", name)
		for _, runtime := range runtimes {
			o, ok := records[runtime].Programs[name]
			if o.Status == pass {
				passed[runtime]++
			}
			fmt.Fprintf(b, " %s |", cell(o, ok))
		}
		b.WriteString("\n")
	}
	b.WriteString("| passed |")
	for _, runtime := range runtimes {
		fmt.Fprintf(b, " %d of %d |", passed[runtime], len(names))
	}
	b.WriteString("\n\nWhat mocker does not pass, and why:\n\n| program | reason | what does not hold | why |\n|---|---|---|---|\n")
	given := reasons(t, place)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		o := records["mocker"].Programs[name]
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, strings.TrimSuffix(given[name].Kind+", no "+given[name].Lacks, ", no "), complaint(o), given[name].Why)
	}
}

func cell(o outcome, known bool) string {
	switch {
	case !known:
		return ""
	case o.Status == pass && o.OK == 0:
		return "pass, no check"
	case o.Status == pass:
		return fmt.Sprintf("pass, ok %d", o.OK)
	}
	return fmt.Sprintf("**%s**, ok %d", o.Status, o.OK)
}

// complaint is what a program does not like, short enough for a table.
func complaint(o outcome) string {
	list := o.NotOK
	const most = 3
	if len(list) > most {
		list = append(slices.Clone(list[:most]), fmt.Sprintf("and %d more", len(o.NotOK)-most))
	}
	text := strings.Join(list, "; ")
	if o.Said != "" && (text == "" || strings.Contains(text, "exit status")) {
		text = strings.TrimPrefix(text+": "+o.Said, ": ")
	}
	return strings.ReplaceAll(text, "|", "\\|")
}

func saveDocument(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(docPath, []byte(document(t)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDocument: docs/conformance.md is what was recorded.
func TestDocument(t *testing.T) {
	if os.Getenv("RECORD") != "" {
		saveDocument(t) // of what others have recorded; TestSuite does it again
	}
	data, err := os.ReadFile(docPath)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != document(t) {
		t.Errorf("%s is not what recorded/ and reasons.json say: run this with RECORD=1", docPath)
	}
}
