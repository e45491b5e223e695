package specconv

import (
	"errors"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

const defaultUmask = 0o022

func convertProcess(spec *specs.Spec, cfg *config.Config) error {
	if spec.Process == nil {
		return nil
	}
	p, warnings, err := resolveProcess(spec.Process)
	cfg.Process, cfg.Warnings = p, append(cfg.Warnings, warnings...)
	return err
}

// ConvertProcess is Convert for a process alone: file is where it comes from,
// a config.json or the path of a process.json, for errors and warnings.
func ConvertProcess(given *specs.Process, file string) (p *config.Process, warnings []string, err error) {
	p, warnings, err = resolveProcess(given)
	if file == configName {
		return p, warnings, err
	}
	for i := range warnings {
		warnings[i] = strings.Replace(warnings[i], configName+": process.", file+": ", 1)
	}
	if first := (*BadValue)(nil); errors.As(err, &first) {
		err = &BadValue{file, strings.TrimPrefix(first.Path, "process."), first.Value, first.Cause}
	}
	return p, warnings, err
}

func resolveProcess(given *specs.Process) (p *config.Process, warnings []string, err error) {
	p = &config.Process{
		Terminal:   given.Terminal,
		NoNewPrivs: given.NoNewPrivileges,
	}
	var bad problems
	for _, convert := range []func(*specs.Process, *config.Process) error{
		convertArgs, convertEnv, convertCwd, convertUser, convertConsole, convertRlimits, convertOOM,
		convertLabels, convertScheduler, convertIOPriority, convertAffinity,
	} {
		bad.add(convert(given, p))
	}
	p.Caps, warnings = convertCapabilities(given.Capabilities)
	return p, warnings, bad.err()
}

func convertArgs(given *specs.Process, p *config.Process) error {
	const at = "process.args"
	if len(given.Args) == 0 {
		return missing(at)
	}
	if given.Args[0] == "" {
		return refuse(at+"[0]", "", "executable file not found in $PATH")
	}
	p.Args = slices.Clone(given.Args)
	return checkNULs(at, given.Args)
}

// convertEnv checks the environment and keeps, of several entries with one
// name, the last: programs disagree about which one counts.
func convertEnv(given *specs.Process, p *config.Process) error {
	const at = "process.env"
	var bad problems
	bad.add(checkNULs(at, given.Env))
	last := make(map[string]int, len(given.Env))
	for i, entry := range given.Env {
		name, _, ok := strings.Cut(entry, "=")
		if !ok {
			bad.add(refuse(item(at, i), entry, `no "=" in it`))
		}
		if ok && name == "" {
			bad.add(refuse(item(at, i), entry, `no name before the "="`))
		}
		last[name] = i
	}
	for i, entry := range given.Env {
		if name, _, _ := strings.Cut(entry, "="); last[name] == i {
			p.Env = append(p.Env, entry)
		}
	}
	return bad.err()
}

// convertCwd does not clean the path: "link/.." is for the kernel to resolve,
// in the container.
func convertCwd(given *specs.Process, p *config.Process) error {
	const at = "process.cwd"
	if given.Cwd == "" {
		return missing(at)
	}
	if !path.IsAbs(given.Cwd) {
		return refuse(at, given.Cwd, "not an absolute path")
	}
	p.Cwd = given.Cwd
	return checkNUL(at, given.Cwd)
}

func convertUser(given *specs.Process, p *config.Process) error {
	const at = "process.user."
	u := &given.User
	var bad problems
	bad.add(checkID(at+"uid", u.UID))
	bad.add(checkID(at+"gid", u.GID))
	const limit = 65536 // NGROUPS_MAX, setgroups(2)
	if len(u.AdditionalGids) > limit {
		bad.add(refuse(at+"additionalGids", len(u.AdditionalGids), "more than %d groups", limit))
	}
	for i, gid := range u.AdditionalGids {
		bad.add(checkID(item(at+"additionalGids", i), gid))
	}
	p.UID, p.GID, p.Groups = u.UID, u.GID, slices.Clone(u.AdditionalGids)
	p.Umask = defaultUmask
	if u.Umask != nil {
		if *u.Umask > 0o777 {
			bad.add(refuse(at+"umask", *u.Umask, "more than the permission bits, which end at 511 (0777)"))
		}
		p.Umask = *u.Umask
	}
	return bad.err()
}

// convertConsole takes the size only together with a terminal; without one
// the specification wants it ignored.
func convertConsole(given *specs.Process, p *config.Process) error {
	const at = "process.consoleSize."
	size := given.ConsoleSize
	if size == nil || !given.Terminal {
		return nil
	}
	var bad problems
	if size.Height > math.MaxUint16 {
		bad.add(refuse(at+"height", size.Height, "more than 65535"))
	}
	if size.Width > math.MaxUint16 {
		bad.add(refuse(at+"width", size.Width, "more than 65535"))
	}
	p.Height, p.Width = uint16(size.Height), uint16(size.Width)
	return bad.err()
}

func convertOOM(given *specs.Process, p *config.Process) error {
	adj := given.OOMScoreAdj
	if adj == nil {
		return nil
	}
	if *adj < -1000 || *adj > 1000 { // proc_pid_oom_score_adj(5)
		return refuse("process.oomScoreAdj", *adj, "not between -1000 and 1000")
	}
	p.OOMScoreAdj = adj
	return nil
}
