package security

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// ttl is a sysctl of the network namespace that the tests run in; in a new
// one it is 64, whatever it is here.
const ttl = "/proc/sys/net/ipv4/ip_default_ttl"

func value(t *testing.T, sysctl string) string {
	t.Helper()
	data, err := os.ReadFile(sysctl)
	must(t, err)
	return string(data)
}

// TestProcIsCovered: CVE-2025-52881 and CVE-2019-16884. Mounts over /proc lead
// what is written there elsewhere; what mocker writes arrives, or the
// container is refused.
func TestProcIsCovered(t *testing.T) {
	const other = "/proc/sys/net/ipv4/igmp_max_msf"
	for _, c := range []struct {
		name   string
		mounts func(canary string) []specs.Mount
	}{
		{"a file of the host over the sysctl", func(canary string) []specs.Mount {
			return []specs.Mount{bind(canary+"/secret", ttl)}
		}},
		{"another sysctl over the sysctl", func(string) []specs.Mount {
			return []specs.Mount{bind(other, ttl)}
		}},
		{"a directory of the host over all of them", func(canary string) []specs.Mount {
			return []specs.Mount{bind(canary, "/proc/sys/net")}
		}},
		{"tmpfs over sys", func(string) []specs.Mount { return []specs.Mount{tmpfs("/proc/sys")} }},
		{"tmpfs over all of it", func(string) []specs.Mount { return []specs.Mount{tmpfs("/proc")} }},
		{"a directory of the host over all of it", func(canary string) []specs.Mount {
			return []specs.Mount{bind(canary, "/proc")}
		}},
		{"the host's procfs over all of it", func(string) []specs.Mount { return []specs.Mount{bind("/proc", "/proc")} }},
		{"a file over attr", func(canary string) []specs.Mount {
			return []specs.Mount{bind(canary+"/secret", "/proc/1/attr/exec"), bind(canary+"/secret", "/proc/1/oom_score_adj")}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			attack(t, "run", "CVE-2025-52881", "CVE-2019-16884")
			bundle, root, canary := box(t, func(s *specs.Spec) {
				s.Process.Args = []string{"sh", "-c", "cat /elsewhere/sys/net/ipv4/ip_default_ttl /elsewhere/1/oom_score_adj"}
				s.Linux.Sysctl = map[string]string{"net.ipv4.ip_default_ttl": "99"}
				score := 77
				s.Process.OOMScoreAdj = &score
				s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
				// Where the container sees what is true.
				s.Mounts = append(s.Mounts, specs.Mount{Type: "proc", Source: "proc", Destination: "/elsewhere"})
			})
			spec := *drive.ReadConfig(t, bundle)
			spec.Mounts = append(spec.Mounts, c.mounts(canary.dir)...)
			drive.WriteConfig(t, bundle, &spec)
			must(t, os.Mkdir(filepath.Join(root, "elsewhere"), 0o755))
			hostTTL, hostOther := value(t, ttl), value(t, other)
			r := run(t, bundle)
			t.Logf("exit %d: %s", r.Code, strings.TrimSpace(r.Stderr))
			canary.unharmed(t)
			if value(t, ttl) != hostTTL || value(t, other) != hostOther {
				harmed(t, "sysctls of the host have changed: %s %s", value(t, ttl), value(t, other))
				must(t, os.WriteFile(ttl, []byte(hostTTL), 0))
			}
			if r.Code == 0 && r.Stdout != "99\n77\n" {
				t.Errorf("neither applied nor refused: %v", r)
			}
		})
	}
}

// TestProcIsCoveredIndeed: what a process writes by the path goes astray, so
// that the test above shows something. And what is to be masked or read-only
// below /proc/sys/net is so for the container's network, whose files are not
// those of mocker's own.
func TestProcIsCoveredIndeed(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(s *specs.Spec, canary string)
		harm bool
		want string
	}{
		{"nothing", func(*specs.Spec, string) {}, false, "64 written 65"},
		{"mount", func(s *specs.Spec, canary string) { s.Mounts = append(s.Mounts, bind(canary+"/secret", ttl)) }, true, "the host's written 65"},
		{"masked", func(s *specs.Spec, _ string) { s.Linux.MaskedPaths = []string{ttl} }, false, "written"},
		{"masked directory", func(s *specs.Spec, _ string) { s.Linux.MaskedPaths = []string{"/proc/sys/net/ipv4"} }, false, "refused"},
		{"read-only", func(s *specs.Spec, _ string) { s.Linux.ReadonlyPaths = []string{ttl} }, false, "64 refused 64"},
		{"read-only directory", func(s *specs.Spec, _ string) { s.Linux.ReadonlyPaths = []string{"/proc/sys/net"} }, false, "64 refused 64"},
		{"read-only by its link", func(s *specs.Spec, _ string) { s.Linux.ReadonlyPaths = []string{"/proc/self/oom_score_adj"} }, false, "64 written 65"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bundle, _, canary := box(t, func(s *specs.Spec) {
				allCaps(s)
				s.Process.Args = []string{"sh", "-c", "cat " + ttl + "; echo 65 >" + ttl + " && echo written || echo refused; cat " + ttl}
				s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
			})
			drive.Edit(t, bundle, func(s *specs.Spec) { c.edit(s, canary.dir) })
			r := run(t, bundle)
			if got := strings.Join(strings.Fields(r.Stdout), " "); got != c.want {
				t.Errorf("got %q, want %q: %v", got, c.want, r)
			}
			if (canary.harm(t) != "") != c.harm {
				t.Errorf("harm to the canary: %q", canary.harm(t))
			}
		})
	}
}

// TestForeignSysctls: what is the host's, or no sysctl at all, is refused.
func TestForeignSysctls(t *testing.T) {
	for _, key := range []string{
		"kernel.core_pattern", "kernel/core_pattern", "vm.swappiness", "net.ipv4/../../kernel.core_pattern", "net/../kernel/core_pattern",
		"net/ipv4/../../kernel/core_pattern", "kernel.shmmax/../core_pattern", "fs.mqueue/../../kernel/core_pattern", "/kernel/core_pattern",
		"../sys/kernel/core_pattern", "", ".", "net", "net.", "kernel.hostname",
	} {
		bundle, _, c := box(t, func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{key: "x"} })
		if r := run(t, bundle); r.Code == 0 || r.Stderr == "" {
			t.Errorf("%q: %v", key, r)
		}
		c.unharmed(t)
	}
}
