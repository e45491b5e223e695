package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Axes of the network hook; the runtime column says whose.
const (
	hookRun   = "added to run of /bin/true by the network, up and down"
	hookFirst = "first container of a subnet: up"
	hookNext  = "each further container: up"
	hookDown  = "each but the last container: down"
	hookLast  = "last container of a subnet: down"
	hookStart = "of that: own start, without any work"
	hookLinks = "of that: links, addresses, routes, notes"
	hookRules = "of that: iptables rules and forwarding, for the first"

	scriptName = "script of ip and iptables"
)

// networker is a hook that makes the network.
type networker struct {
	name, path string
	args       []string // with the name of the program
	idle       []string // arguments with which it starts and does no work
}

// hook compares the hook of the first runtime, which must be a mocker, with the
// script.
func (b *bench) hook() error {
	script := filepath.Join(b.dir, "network.sh")
	if err := os.WriteFile(script, networkScript, 0o755); err != nil {
		return err
	}
	own := b.runtimes[0]
	hooks := []networker{
		{own.Name, own.Path, []string{own.Name, "hook", "network"}, []string{"--version"}},
		{scriptName, script, []string{script}, nil},
	}
	if err := b.hookRuns(hooks); err != nil {
		return err
	}
	times := map[string]map[string][]float64{}
	for round := -b.warmUp; round < b.rounds; round++ {
		for _, h := range hooks {
			taken, err := b.hookTurn(h)
			if err != nil {
				return err
			}
			if times[h.name] == nil {
				times[h.name] = map[string][]float64{}
			}
			for axis, ms := range taken {
				if round >= 0 {
					times[h.name][axis] = append(times[h.name][axis], ms)
				}
			}
		}
	}
	for _, h := range hooks {
		for _, axis := range []string{hookFirst, hookNext, hookDown, hookLast, hookStart, hookLinks, hookRules} {
			if list := times[h.name][axis]; len(list) > 0 {
				b.results.figure(Figure{Axis: axis, View: b.view, Runtime: h.name, Value: median(list), Unit: "ms"})
			}
		}
	}
	return nil
}

// hookTurn connects two containers and takes them off again.
func (b *bench) hookTurn(h networker) (map[string]float64, error) {
	taken := map[string]float64{}
	var started []string
	defer func() {
		for _, id := range started {
			_ = b.callHook(h, id, "stopped", 0, nil) // again, if something failed
		}
	}()
	step := func(axis, id, status string, pid int) error {
		var ms float64
		err := b.callHook(h, id, status, pid, &ms)
		taken[axis] = ms
		return err
	}
	first, err := newcomer()
	if err != nil {
		return nil, err
	}
	defer first.end()
	other, err := newcomer()
	if err != nil {
		return nil, err
	}
	defer other.end()
	started = []string{"bench", "bench-other"}
	for _, s := range []struct {
		axis, id, status string
		pid              int
	}{
		{hookFirst, "bench", "created", first.pid()},
		{hookNext, "bench-other", "created", other.pid()},
		{hookDown, "bench-other", "stopped", 0},
		{hookLast, "bench", "stopped", 0},
	} {
		if err := step(s.axis, s.id, s.status, s.pid); err != nil {
			return nil, err
		}
	}
	started = nil
	taken[hookRules] = taken[hookFirst] - taken[hookNext]
	if h.idle != nil {
		took, err := Runtime{Path: h.path}.run(h.idle...)
		if err != nil {
			return nil, err
		}
		taken[hookStart] = milliseconds(took)
		taken[hookLinks] = taken[hookNext] - taken[hookStart]
	}
	return taken, nil
}

// callHook runs a hook as a runtime does, with the state on standard input.
func (b *bench) callHook(h networker, id, status string, pid int, ms *float64) error {
	state := fmt.Sprintf(`{"ociVersion":"1.0.2","id":"%s","status":"%s","pid":%d,"bundle":"%s"}`, id, status, pid, b.dir)
	took, _, err := runFor(patience, strings.NewReader(state), h.path, h.args[1:]...)
	if err != nil {
		err = fmt.Errorf("%s, status %s: %w", h.name, status, err)
	}
	if ms != nil {
		*ms = milliseconds(took)
	}
	return err
}

// process is one in a network namespace of its own, in a container's stead.
type process struct{ *exec.Cmd }

func newcomer() (process, error) {
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	return process{cmd}, cmd.Start()
}

func (p process) pid() int { return p.Process.Pid }

func (p process) end() {
	_ = p.Process.Kill()
	_ = p.Wait()
}

// hookRuns measures what the network adds to a container's whole life.
func (b *bench) hookRuns(hooks []networker) error {
	own := b.runtimes[0]
	const none = "none"
	bundles := map[string]string{}
	all := append(slices.Clone(hooks), networker{name: none})
	for _, h := range all {
		bundle, err := b.bundle(fmt.Sprintf("hook-%d", len(bundles)), func(s *specs.Spec) {
			s.Process.Args = []string{"/bin/true"}
			if h.path == "" {
				return
			}
			list := []specs.Hook{{Path: h.path, Args: h.args}}
			s.Hooks = &specs.Hooks{
				Prestart: list, //nolint:staticcheck // deprecated, and the one that all runtimes know
				Poststop: list,
			}
		})
		if err != nil {
			return err
		}
		bundles[h.name] = bundle
	}
	added := map[string][]float64{}
	for round := -b.warmUp; round < b.rounds; round++ {
		taken := map[string]float64{}
		for _, h := range all {
			id := fmt.Sprintf("bench-hook-%d", os.Getpid())
			took, err := own.run("run", "--bundle", bundles[h.name], id)
			if err != nil {
				_, _ = own.run("delete", "--force", id)
				return err
			}
			taken[h.name] = milliseconds(took)
		}
		for _, h := range hooks {
			if round >= 0 {
				added[h.name] = append(added[h.name], taken[h.name]-taken[none])
			}
		}
	}
	for _, h := range hooks {
		b.results.figure(Figure{Axis: hookRun, View: b.view, Runtime: h.name, Value: median(added[h.name]), Unit: "ms"})
	}
	return nil
}
