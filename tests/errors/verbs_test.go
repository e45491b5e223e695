package errors

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/mocker-runtime/mocker/tests/drive"
)

// paused leaves a paused container.
func paused(p *place) {
	running(p)
	p.ok("pause", p.id)
}

// cut leaves a running container with half of a state.json.
func cut(p *place) {
	running(p)
	name := "/run/mocker/" + p.id + "/state.json"
	if p.runtime != drive.Mocker(p) {
		name = "/run/runc/" + p.id + "/state.json"
	}
	data, err := os.ReadFile(name)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { p.write(name, string(data), 0o600) }) // runc needs it to delete
	half := data[:len(data)/2]
	p.write(name, string(half[:bytes.LastIndexByte(half, ',')+1]), 0o600) // not within a word, whose end is another error
}

const useless = "read /run/mocker/$ID/state.json: unexpected end of JSON input (the container cannot be used any more, remove it with: mocker --root /run/mocker delete --force $ID)"

// verbs are the rows about looking at a container, holding it and limiting it.
func verbs() []row {
	limits := func(text string) func(*place) {
		return func(p *place) { running(p); p.write(filepath.Join(p.dir, "limits"), text, 0o644) }
	}
	file := args("update --resources $DIR/limits $ID")
	return []row{
		{input: "pause of an unknown container", call: args("pause $ID"), want: `container does not exist: "$ID"`},
		{input: "pause of a stopped container", call: args("pause $ID"), want: `container not running: "$ID"`, prep: stopped},
		{input: "pause of a paused container", call: args("pause $ID"), want: `container is already paused: "$ID"`, prep: paused},
		{input: "resume of an unknown container", call: args("resume $ID"), want: `container does not exist: "$ID"`},
		{input: "resume of a running container", call: args("resume $ID"), want: `container not paused: "$ID" is running`, prep: running},
		{input: "resume of a stopped container", call: args("resume $ID"), want: `container not paused: "$ID" is stopped`, prep: stopped},
		{input: "start of a container that was paused before", call: start, want: `cannot start a container in the paused state: "$ID"`, prep: func(p *place) { made(p); p.ok("pause", p.id) }},
		{input: "delete of a paused container", call: args("delete $ID"), want: "cannot delete container $ID that is not stopped: paused", prep: paused},
		{input: "ps of an unknown container", call: args("ps $ID"), want: `container does not exist: "$ID"`},
		{input: "ps in a format that does not exist", call: args("ps --format yaml $ID"), want: `ps --format "yaml": want table or json`, prep: running},
		{input: "ps without pids", call: args("ps $ID -o comm"), want: `couldn't find PID field in ps output: its title line is "COMMAND"`, prep: running},
		{input: "ps with a column that does not exist", call: args("ps $ID -o pid,nice-one"), prep: running,
			want: "run ps -o pid,nice-one: exit status 1: error: unknown user-defined format specifier \"nice-one\""},
		{input: "ps on a machine without it", call: call{args: []string{"ps", "$ID"}, hide: "/usr/bin"}, want: "find the program ps: not in $PATH, /usr/bin or /bin; install the package procps", prep: running},
		{input: "events of an unknown container", call: args("events $ID"), want: `container does not exist: "$ID"`},
		{input: "events of a stopped container", call: args("events --stats $ID"), want: `container not running: "$ID"`, prep: stopped},
		{input: "events without a pause between them", call: args("events --interval 0s $ID"), want: "--interval 0s: must be greater than 0", prep: running},
		{input: "events at an interval without a unit", call: args("events --interval 5 $ID"), want: `events: invalid value "5" for flag -interval: parse error (see "mocker help events")`, prep: running},
		{input: "update of an unknown container", call: args("update --pids-limit 5 $ID"), want: `container does not exist: "$ID"`},
		{input: "update of a stopped container", call: args("update --pids-limit 5 $ID"), want: `container not running: "$ID"`, prep: stopped},
		{input: "update with a size that is none", call: args("update --memory lots $ID"), want: "--memory lots: not a size such as 512m or 1.5g", prep: running},
		{input: "update with a negative size", call: args("update --memory -5m $ID"), want: "--memory -5m: not a size such as 512m or 1.5g", prep: running},
		{input: "update with no memory at all", call: args("update --memory 0 $ID"), want: "--memory 0: 0 is no limit that can be set", prep: running},
		{input: "update with less swap than memory", call: args("update --memory 64m --memory-swap 32m $ID"), want: "--memory-swap 33554432: less than the memory limit 67108864, which it includes", prep: running},
		{input: "update with more memory than the swap of before", call: args("update --memory 64m $ID"), prep: func(p *place) { running(p); p.ok("update", "--memory", "16m", "--memory-swap", "32m", p.id) },
			want: "memory limit 67108864: more than the limit of memory and swap together, 33554432, which has to change as well"},
		{input: "update with a fraction of a process", call: args("update --pids-limit 1.5 $ID"), want: "--pids-limit 1.5: not a whole number", prep: running},
		{input: "update with less than nothing", call: args("update --cpu-share -1 $ID"), want: "--cpu-share -1: out of range", prep: running},
		{input: "update with a weight out of range", call: args("update --blkio-weight 5 $ID"), want: "--blkio-weight 5: not between 10 and 1000", prep: running},
		{input: "update with a choice that does not exist", call: args("update --cpu-idle 2 $ID"), want: "--cpu-idle 2: neither 0 nor 1", prep: running},
		{input: "update with a processor that this machine does not have", call: args("update --cpuset-cpus 900 $ID"), want: `linux.resources.cpu.cpus: write "900" to cpuset.cpus: numerical result out of range`, prep: running, v1: true},
		{input: "update with a quota that is too small", call: args("update --cpu-quota 1 $ID"), want: `linux.resources.cpu.quota: write "1" to cpu.cfs_quota_us: invalid argument`, prep: running, v1: true},
		{input: "update of the class of service of a container without one", call: args("update --l3-cache-schema L3:0=f $ID"), prep: running,
			want: `container "$ID" has no class of service: its config.json has no linux.intelRdt`},
		{input: "update of a class of service that is no line for it", call: args("update --mem-bw-schema 50 $ID"), prep: running,
			want: `--mem-bw-schema "50": does not begin with "MB:"`},
		{input: "update of kernel memory", call: args("update --kernel-memory 5m $ID"), want: "--kernel-memory: the kernel has no such limit since 5.4", prep: running},
		{input: "update from a file and by flags", call: args("update --resources $DIR/limits --memory 5m $ID"), want: "--resources and --memory: give one or the other", prep: running},
		{input: "update from a file that does not exist", call: file, want: "--resources: open $DIR/limits: no such file or directory", prep: running},
		{input: "update from half a file", call: file, want: "--resources $DIR/limits: line 1, column 20: unexpected end of JSON input", prep: limits(`{"memory":{"limit":`)},
		{input: "update from a file with a text for a number", call: file, want: "--resources $DIR/limits: line 1, column 23: memory.limit: got a string, want an integer from -9223372036854775808 to 9223372036854775807", prep: limits(`{"memory":{"limit":"5m"}}`)},
		{input: "update from a file with a negative limit", call: file, want: "--resources $DIR/limits: memory.limit: -5: neither a number of bytes nor -1", prep: limits(`{"memory":{"limit":-5}}`)},
		{input: "update with a rule for devices of no type", call: file, want: `--resources $DIR/limits: devices[0].type: "x": not one of a, b, c`, prep: limits(`{"devices":[{"allow":true,"type":"x","access":"r"}]}`)},
		{input: "update of what only cgroup v2 has", call: file, want: "linux.resources.unified: this machine has cgroup v1", prep: limits(`{"unified":{"memory.high":"5000000"}}`), v1: true},
		{input: "half a state.json", call: args("state $ID"), want: useless, prep: cut},
		{input: "half a state.json, to kill", call: args("kill $ID KILL"), want: useless, prep: cut},
		{input: "half a state.json, in a list", call: args("list -q"), want: "warning: container $ID is left out: " + useless, code: accepted, prep: cut},
	}
}
