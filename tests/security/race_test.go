package security

import (
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

var seed = flag.Uint64("seed", 0, "of the pauses between exchanges; 0: another each time")

// exchange swaps a and link in a directory, which lead to different places,
// again and again, as another container with the same volume would
// (renameat2(2), RENAME_EXCHANGE), with pauses of random lengths. It ends with
// the test.
func exchange(t *testing.T, a, link string) {
	t.Helper()
	from := *seed
	if from == 0 {
		from = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", from)
	random := rand.New(rand.NewPCG(from, 0))
	var stop atomic.Bool
	done := make(chan error)
	go func() {
		for !stop.Load() {
			if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
				done <- err
				return
			}
			for range random.IntN(2000) {
				if stop.Load() {
					break
				}
			}
		}
		done <- nil
	}()
	t.Cleanup(func() {
		stop.Store(true)
		if err := <-done; err != nil {
			t.Errorf("exchange: %v", err)
		}
	})
}

// raceAttack exchanges a file or directory of a shared volume with a link.
type raceAttack struct {
	name string
	cves []string
	vol  string                   // where the volume is in the container
	at   string                   // what is exchanged, in the volume: with a link of its name and ".link"
	file bool                     // it is a file
	to   string                   // where the link leads, in the canary
	edit func(*specs.Spec)        // what makes mocker go there
	ways []way                    //
	fell func(stdout string) bool // what the container says when the attack has worked; nil: never
	half bool                     // a link in its place is refused
}

func raceAttacks(t *testing.T) []raceAttack {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.Chmod(filepath.Dir(filepath.Dir(file)), 0o755))
	must(t, os.WriteFile(file, []byte("bound\n"), 0o644))
	mount := func(list ...specs.Mount) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Mounts = append(s.Mounts, list...) }
	}
	terminal := func(s *specs.Spec) { s.Process.Terminal = true }
	owners := []way{byRun, inUserns, asUser}
	return []raceAttack{
		{name: "mount on it", cves: []string{"CVE-2021-30465"}, vol: "/vol", at: "a", ways: owners, edit: mount(tmpfs("/vol/a"))},
		{name: "make a directory in it and mount there", cves: []string{"CVE-2024-45310"}, vol: "/vol", at: "a", ways: owners,
			edit: mount(tmpfs("/vol/a/new/deep"))},
		{name: "make a file in it and mount there", cves: []string{"CVE-2024-45310"}, vol: "/vol", at: "a", ways: []way{byRun, byCreate},
			edit: mount(bind(file, "/vol/a/file"))},
		{name: "proc and sysctl in it", cves: []string{"CVE-2019-19921"}, vol: "/vol", at: "a", ways: []way{byRun}, edit: func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Type: "proc", Source: "proc", Destination: "/vol/a/proc"})
			s.Linux.Sysctl = map[string]string{"net.ipv4.ip_default_ttl": "99"}
		}},
		{name: "devices, masks and a working directory in it", cves: []string{"GHSA-3q8j-pf29-vwv8"}, vol: "/vol", at: "a", ways: []way{byRun, inUserns},
			edit: func(s *specs.Spec) {
				s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: "/vol/a/fifo", Type: "p"})
				s.Linux.MaskedPaths = []string{"/vol/a/sub", "/vol/a/secret"}
				s.Linux.ReadonlyPaths = []string{"/vol/a"}
				s.Process.Cwd = "/vol/a/work"
			}},
		{name: "null of a shared dev", cves: []string{"CVE-2025-31133", "CVE-2026-88265"}, vol: "/dev", at: "null", file: true, to: "secret", ways: owners,
			edit: func(s *specs.Spec) {
				withoutMount(s, "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue")
				s.Linux.MaskedPaths = []string{"/etc/passwd", "/proc/kcore"}
				s.Process.Args = []string{"sh", "-c", "cat /etc/passwd; echo end"}
			}, fell: func(stdout string) bool { return strings.Contains(stdout, "host's") }},
		{name: "console of a shared dev", cves: []string{"CVE-2025-52565", "CVE-2026-88264"}, vol: "/dev", at: "console", file: true, to: "console", ways: owners,
			edit: func(s *specs.Spec) {
				terminal(s)
				withoutMount(s, "/dev", "/dev/shm", "/dev/mqueue")
			}},
		{name: "pts of a shared dev", cves: []string{"CVE-2025-52565"}, vol: "/dev", at: "pts", to: "pts", ways: []way{byRun},
			edit: func(s *specs.Spec) {
				terminal(s)
				withoutMount(s, "/dev", "/dev/shm", "/dev/mqueue")
			}},
		{name: "root of proc", cves: []string{"CVE-2019-19921", "CVE-2023-27561"}, vol: "/proc", at: "proc", ways: []way{byRun, inUserns}, half: true,
			edit: func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"net.ipv4.ip_default_ttl": "99"} }},
	}
}

// TestExchange: what is looked at and what is used is the same, or the create
// fails.
func TestExchange(t *testing.T) {
	for _, a := range raceAttacks(t) {
		for _, w := range a.ways {
			t.Run(a.name+"/"+w.name, func(t *testing.T) { a.by(t, w) })
		}
	}
}

func (a raceAttack) by(t *testing.T, w way) {
	attack(t, w.name, a.cves...)
	bundle, root, canary := w.box(t, nil)
	volume := filepath.Join(bundle, "volume")
	if a.vol == "/proc" {
		volume = root // the link lies in the root itself
	} else {
		must(t, os.Mkdir(volume, 0o755))
	}
	a.plant(t, volume, canary.dir)
	drive.Edit(t, bundle, func(s *specs.Spec) {
		if volume != root {
			s.Mounts = append(s.Mounts[:1:1], append([]specs.Mount{bind(volume, a.vol)}, s.Mounts[1:]...)...)
		}
		a.edit(s)
	})
	w.own(t, bundle)
	canary.before = canary.look(t)
	ttlBefore := value(t, ttl)
	exchange(t, filepath.Join(volume, a.at), filepath.Join(volume, a.at+".link"))
	made := 0
	rounds := times(1000, 10, 2)
	for range rounds {
		r := w.run(t, bundle)
		if r.Code == 0 {
			made++
		} else if a.fell == nil && !drive.Others() && !strings.HasPrefix(r.Stderr, "mocker: ") {
			t.Errorf("refused in other words: %v", r)
		}
		if a.fell != nil && a.fell(r.Stdout) {
			harmed(t, "it has worked: %v", r)
		}
		if harm := canary.harm(t); harm != "" {
			harmed(t, "the host has been changed, %s", harm)
		}
		if t.Failed() {
			break
		}
	}
	t.Logf("%d of %d were made, the others refused", made, rounds)
	if rounds >= 10 && !a.half && !drive.Others() && made < rounds/5 {
		t.Errorf("only %d of %d were made: what refuses the others keeps the attack from being tried", made, rounds)
	}
	if now := value(t, ttl); now != ttlBefore {
		harmed(t, "a sysctl of the host has changed to %s", now)
		must(t, os.WriteFile(ttl, []byte(ttlBefore), 0))
	}
}

// plant makes what is exchanged.
func (a raceAttack) plant(t *testing.T, volume, canary string) {
	t.Helper()
	at := filepath.Join(volume, a.at)
	must(t, os.RemoveAll(at))
	if a.file {
		must(t, os.WriteFile(at, nil, 0o666))
	} else {
		must(t, os.Mkdir(at, 0o755))
	}
	must(t, os.Symlink(filepath.Join(canary, a.to), at+".link"))
}

// TestExchangeIndeed: who checks a path and then uses it loses.
func TestExchangeIndeed(t *testing.T) {
	_, root, canary := box(t, nil)
	volume := filepath.Join(root, "vol")
	must(t, os.Mkdir(volume, 0o755))
	raceAttack{at: "a"}.plant(t, volume, canary.dir)
	exchange(t, filepath.Join(volume, "a"), filepath.Join(volume, "a.link"))
	for range 100000 {
		a := filepath.Join(volume, "a")
		if st, err := os.Lstat(a); err != nil || !st.IsDir() {
			continue
		}
		if err := os.WriteFile(filepath.Join(a, "new"), nil, 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(canary.dir, "new")); err == nil {
			return
		}
	}
	t.Error("a careless runtime has not lost the race either")
}
