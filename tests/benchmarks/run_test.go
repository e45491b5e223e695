package benchmarks

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// pause lets the kernel finish what a container leaves behind, as it can
// between two containers of real life. A tight loop hides what a runtime
// waits for: the grace period after a write to cgroup.procs, for example.
const pause = 50 * time.Millisecond

// BenchmarkRunTrue times "run" of /bin/true on one and the same bundle: the
// median is what a user sees, the best what the runtime needs.
func BenchmarkRunTrue(b *testing.B) {
	mocker, err := filepath.Abs("../../mocker")
	if err != nil {
		b.Fatal(err)
	}
	bundle := trueBundle(b, mocker)
	for _, runtime := range []string{mocker, "crun", "runc"} {
		b.Run(filepath.Base(runtime), func(b *testing.B) {
			path, err := exec.LookPath(runtime)
			if err != nil {
				b.Fatal(err)
			}
			root := b.TempDir()
			run := func() ([]byte, error) {
				return exec.Command(path, "--root", root, "run", "--bundle", bundle, fmt.Sprintf("bench-%d", os.Getpid())).CombinedOutput()
			}
			// Debian's crun refuses machines whose cgroups are hybrid.
			if out, err := run(); err != nil && runtime != mocker {
				b.Skipf("%s does not run this bundle here: %v: %s", runtime, err, out)
			}
			var times []time.Duration
			for b.Loop() {
				b.StopTimer()
				time.Sleep(pause)
				b.StartTimer()
				started := time.Now()
				out, err := run()
				times = append(times, time.Since(started))
				if err != nil {
					b.Fatalf("%s run: %v\n%s", runtime, err, out)
				}
			}
			slices.Sort(times)
			b.ReportMetric(milliseconds(times[0]), "best-ms")
			b.ReportMetric(milliseconds(times[len(times)/2]), "median-ms")
			b.ReportMetric(0, "ns/op") // the mean says little on a busy machine
		})
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// trueBundle is the busybox bundle without terminal and hooks.
func trueBundle(b *testing.B, mocker string) string {
	b.Helper()
	bundle := b.TempDir()
	if out, err := exec.Command(mocker, "spec", "--busybox", "--bundle", bundle).CombinedOutput(); err != nil {
		b.Fatalf("spec --busybox: %v\n%s", err, out)
	}
	path := filepath.Join(bundle, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	var spec map[string]any
	if err := json.Unmarshal(data, &spec); err != nil {
		b.Fatal(err)
	}
	process, ok := spec["process"].(map[string]any)
	if !ok {
		b.Fatalf("%s has no process", path)
	}
	process["terminal"] = false
	process["args"] = []string{"/bin/true"}
	delete(spec, "hooks")
	if data, err = json.Marshal(spec); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		b.Fatal(err)
	}
	return bundle
}
