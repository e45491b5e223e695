package benchmarks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/tests/drive"
)

func TestMain(m *testing.M) { drive.Main(m) }

// pause lets the kernel finish what a container leaves behind, as it can
// between two containers of real life. A tight loop hides what a runtime
// waits for: the grace period after a write to cgroup.procs, for example.
const pause = 50 * time.Millisecond

// BenchmarkRunTrue times "run" of /bin/true on one and the same bundle. The
// runtimes take turns, so that a machine that gets slower does so for all of
// them: what counts is the median of the ratios, turn by turn.
//
// Cgroups are v1 alone here: Debian's crun refuses a hybrid machine.
func BenchmarkRunTrue(b *testing.B) {
	mocker := drive.Mocker(b)
	pureV1(b)
	bundle := drive.Bundle(b, func(s *specs.Spec) { s.Process.Args = []string{"/bin/true"} })
	runtimes := []string{mocker}
	for _, name := range []string{"runc", "crun"} {
		path, err := exec.LookPath(name)
		if err != nil {
			b.Fatalf("%s is missing: apt-get install %s", name, name)
		}
		runtimes = append(runtimes, path)
	}
	for _, rest := range []time.Duration{0, pause} {
		b.Run(fmt.Sprintf("pause=%v", rest), func(b *testing.B) {
			times := map[string][]time.Duration{}
			for b.Loop() {
				for _, runtime := range runtimes {
					time.Sleep(rest)
					times[runtime] = append(times[runtime], timeRun(b, runtime, bundle))
				}
			}
			report(b, times, runtimes)
		})
	}
}

// pureV1 takes the v2 tree of a hybrid machine out of sight.
func pureV1(b *testing.B) {
	b.Helper()
	const unified = "/sys/fs/cgroup/unified"
	if _, err := os.Stat(unified); err != nil {
		return
	}
	if err := unix.Unmount(unified, unix.MNT_DETACH); err != nil {
		b.Fatalf("unmount %s: %v", unified, err)
	}
}

func timeRun(b *testing.B, runtime, bundle string) time.Duration {
	b.Helper()
	id := fmt.Sprintf("bench-%d-%s", os.Getpid(), filepath.Base(runtime))
	started := time.Now()
	out, err := exec.Command(runtime, "run", "--bundle", bundle, id).CombinedOutput()
	took := time.Since(started)
	if err != nil {
		b.Fatalf("%s run: %v\n%s", runtime, err, out)
	}
	return took
}

// report gives the median of each runtime, and of mocker's ratio to each of
// the others.
func report(b *testing.B, times map[string][]time.Duration, runtimes []string) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // of all of them together: says nothing
	own := times[runtimes[0]]
	for _, runtime := range runtimes {
		name := filepath.Base(runtime)
		b.ReportMetric(median(milliseconds(times[runtime])), name+"-ms")
		if runtime == runtimes[0] {
			continue
		}
		var ratios []float64
		for i, t := range times[runtime] {
			ratios = append(ratios, float64(own[i])/float64(t))
		}
		b.ReportMetric(median(ratios), "of-"+name)
	}
}

func milliseconds(list []time.Duration) []float64 {
	var ms []float64
	for _, d := range list {
		ms = append(ms, float64(d.Microseconds())/1000)
	}
	return ms
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
