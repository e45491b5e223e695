package seal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary plays mocker (the target) and the attacker as well, each
// from a throwaway copy.
const (
	roleEnv = "MOCKER_TEST_SEAL"      // plain, clone, sealed, attack
	rootEnv = "MOCKER_TEST_SEAL_ROOT" // Ensure's root; a file of it forces the memfd
)

func TestMain(m *testing.M) {
	if os.Getuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests mount and need root")
		os.Exit(1)
	}
	var err error
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(m.Run())
	case "plain":
		err = reportSelf()
	case "clone":
		err = runClone()
	case "sealed":
		if err = Ensure(os.Getenv(rootEnv)); err == nil {
			err = reportSelf()
		}
	case "attack":
		err = attack(os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// self is what a target says of itself.
type self struct {
	Kind, Path, Exe, Comm string
	Args                  []string
	Marked                bool // the mark is still in the environment
	FDs                   []string
	Same, SameOriginal    bool
}

// reportSelf prints one line and waits for the end of stdin.
func reportSelf() error {
	var s self
	if m := sealed.Load(); m != nil {
		s.Kind = m.kind
	}
	s.Path, _ = Path()
	s.Exe, _ = os.Readlink(exe)
	comm, _ := os.ReadFile("/proc/self/comm")
	s.Comm = strings.TrimSpace(string(comm))
	s.Args = os.Args
	_, s.Marked = os.LookupEnv(envMark)
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		to, _ := os.Readlink("/proc/self/fd/" + e.Name())
		s.FDs = append(s.FDs, to)
	}
	fd, err := unix.Open(exe, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if s.Same, err = SameFile(fd); err != nil {
		return err
	}
	orig, err := unix.Open(os.Getenv("MOCKER_TEST_SEAL_ORIGINAL"), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if s.SameOriginal, err = SameFile(orig); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// runClone is the seal that is none: a read-only clone of the binary's mount.
func runClone() error {
	if os.Getenv(rootEnv) == "done" {
		return reportSelf()
	}
	path, err := os.Executable()
	if err != nil {
		return err
	}
	// The fd stays open: with its last one a detached mount is taken apart.
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, attr); err != nil {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	if err := os.Setenv(rootEnv, "done"); err != nil {
		return err
	}
	return unix.Exec("/proc/self/fd/"+strconv.Itoa(fd), os.Args, os.Environ())
}

// attack is a root in a mount namespace of its own. It takes hold of the
// target's binary, tries to write it, waits for the target's end and tries
// again. It prints the ways by which a byte was written.
func attack(pid string) error {
	path := "/proc/" + pid + "/exe"
	held, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	hold := "/proc/self/fd/" + strconv.Itoa(held)
	won := tryAll("running", held, hold)
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	won = append(won, tryAll("ended", held, hold)...)
	fmt.Println(strings.Join(won, " "))
	return nil
}

func tryAll(when string, held int, hold string) []string {
	won := writes(when, hold)
	rw := &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}
	_ = unix.MountSetattr(held, "", unix.AT_EMPTY_PATH, rw)
	won = append(won, writes(when+":mount_setattr", hold)...)
	_ = unix.Mount("", hold, "", unix.MS_REMOUNT|unix.MS_BIND, "")
	won = append(won, writes(when+":remount,bind,rw", hold)...)
	_ = unix.Mount("", hold, "", unix.MS_REMOUNT, "")
	won = append(won, writes(when+":remount,rw", hold)...)
	reconfigure(hold)
	won = append(won, writes(when+":fspick", hold)...)
	tree, err := unix.OpenTree(held, "", unix.OPEN_TREE_CLONE|unix.AT_EMPTY_PATH)
	if err != nil {
		return won
	}
	clone := "/proc/self/fd/" + strconv.Itoa(tree)
	_ = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, rw)
	won = append(won, writes(when+":open_tree+mount_setattr", clone)...)
	reconfigure(clone)
	return append(won, writes(when+":open_tree+fspick", clone)...)
}

func reconfigure(path string) {
	ctx, err := unix.Fspick(unix.AT_FDCWD, path, 0)
	if err != nil {
		return
	}
	_ = unix.FsconfigSetFlag(ctx, "rw")
	_ = unix.FsconfigReconfigure(ctx)
	_ = unix.Close(ctx)
}

// writes tries the file as it is and through every change that would make it
// writable, and names the way if a byte went in (the one that was there).
func writes(way, path string) []string {
	_ = unix.Chmod(path, 0o777)
	for _, flags := range []int{unix.O_WRONLY, unix.O_RDWR | unix.O_APPEND} {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		_, err = unix.Write(fd, []byte{0x7f})
		_ = unix.Close(fd)
		if err == nil {
			return []string{way}
		}
	}
	return nil
}

// target is a started copy of the test binary.
type target struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	path  string
	self  self
}

func startTarget(t *testing.T, role, name, root string) *target {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g := &target{path: filepath.Join(t.TempDir(), name)}
	copyFile(t, me, g.path)
	g.cmd = exec.Command(g.path, "arg one", "", "--two")
	g.cmd.Env = append(os.Environ(), roleEnv+"="+role, rootEnv+"="+root, "MOCKER_TEST_SEAL_ORIGINAL="+g.path)
	var stderr bytes.Buffer
	g.cmd.Stderr = &stderr
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if g.stdin, err = g.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.cmd.Process.Kill(); _ = g.cmd.Wait() })
	if err := json.NewDecoder(out).Decode(&g.self); err != nil {
		_ = g.cmd.Wait()
		t.Fatalf("%v: %s", err, stderr.String())
	}
	return g
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// attacked runs the attack on a target and returns the ways that worked.
func attacked(t *testing.T, g *target) []string {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(me, strconv.Itoa(g.cmd.Process.Pid))
	cmd.Env = append(os.Environ(), roleEnv+"=attack")
	cmd.SysProcAttr = &unix.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("attacker: %q, %v", line, err)
	}
	_ = g.stdin.Close()
	if err := g.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	_, _ = stdin.Write([]byte("\n"))
	line, err := lines.ReadString('\n')
	if err := errors.Join(err, cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	return strings.Fields(line)
}

func checkUnchanged(t *testing.T, path string) {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want, err1 := os.ReadFile(me)
	got, err2 := os.ReadFile(path)
	st, err3 := os.Stat(path)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) || st.Mode().Perm() != 0o755 {
		t.Errorf("%s has been changed (mode %v)", path, st.Mode())
	}
}

// The attack works where nothing, or the wrong thing, is in its way. Without
// this the test after it would mean nothing.
func TestAttackOnUnsealed(t *testing.T) {
	if won := attacked(t, startTarget(t, "plain", "mocker", "")); !slices.Contains(won, "ended") {
		t.Errorf("an unsealed binary could not be written: %v", won)
	}
	// Read-only, until mount_setattr has cleared that while it was running.
	if won := attacked(t, startTarget(t, "clone", "mocker", "")); !slices.Contains(won, "ended") {
		t.Errorf("a detached read-only clone could not be written: %v", won)
	}
}

func TestAttackOnSealed(t *testing.T) {
	notDir := filepath.Join(t.TempDir(), "file")
	copyFile(t, "/proc/self/status", notDir)
	for name, c := range map[string]struct{ file, root, kind string }{
		"overlay":          {"mocker", filepath.Join(t.TempDir(), "new", "root"), overlay},
		"overlay odd name": {`a:b,c\d e"f`, t.TempDir(), overlay},
		"overlay long":     {strings.Repeat("x", 250), t.TempDir(), overlay},
		"memfd":            {"mocker", notDir, memfd},
	} {
		t.Run(name, func(t *testing.T) {
			g := startTarget(t, "sealed", c.file, c.root)
			s := g.self
			if s.Kind != c.kind || s.Path != g.path || s.Marked || !s.Same || !s.SameOriginal {
				t.Errorf("got %+v, want kind %s", s, c.kind)
			}
			if want := c.file[:min(15, len(c.file))]; s.Comm != want {
				t.Errorf("comm: got %q, want %q", s.Comm, want)
			}
			if want := []string{g.path, "arg one", "", "--two"}; !slices.Equal(s.Args, want) {
				t.Errorf("arguments: got %q, want %q", s.Args, want)
			}
			for _, to := range s.FDs {
				if strings.Contains(to, c.file) || strings.HasPrefix(to, "/memfd:") {
					t.Errorf("the binary is open in the second start: %v", s.FDs)
				}
			}
			if won := attacked(t, g); len(won) != 0 {
				t.Errorf("written by %v", won)
			}
			checkUnchanged(t, g.path)
		})
	}
}

func TestForgedMark(t *testing.T) {
	var st unix.Stat_t
	if err := unix.Stat(exe, &st); err != nil {
		t.Fatal(err)
	}
	me := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	for text, want := range map[string]bool{
		"overlay:" + me + ":" + me + ":/x": true, // a claim that is not believed: sealed as memfd
		"memfd:" + me + ":" + me + ":/x":   false,
		"1":                                false,
	} {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), roleEnv+"=sealed", rootEnv+"="+t.TempDir(), envMark+"="+text, "MOCKER_TEST_SEAL_ORIGINAL="+self)
		out, err := cmd.Output()
		if want != (err == nil) {
			t.Errorf("%s: %s, %v", text, out, err)
		}
		var s struct{ Kind string }
		if want && (json.Unmarshal(out, &s) != nil || s.Kind != memfd) {
			t.Errorf("%s: got %s, want a memfd", text, out)
		}
	}
}

func BenchmarkStartPlain(b *testing.B)  { benchmarkStart(b, "plain", "") }
func BenchmarkStartSealed(b *testing.B) { benchmarkStart(b, "sealed", "/run") }
func BenchmarkStartMemfd(b *testing.B)  { benchmarkStart(b, "sealed", "/proc/self/status") }

// The difference to plain is what sealing costs in all.
func benchmarkStart(b *testing.B, role, root string) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), roleEnv+"="+role, rootEnv+"="+root, "MOCKER_TEST_SEAL_ORIGINAL="+self)
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
	}
}
