package engines

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mocker-runtime/mocker/tests/drive"
)

var (
	another   = regexp.MustCompile(`(?m)^(Error: OCI runtime error: ).*$`)
	directory = regexp.MustCompile(`(?m)^Error: OCI runtime error: .*(exec: "[^"]*"): is a directory$`)

	seed = flag.Uint64("podman.seed", 3, "seed of the random podman command lines; 0 takes one from the clock")
	runs = flag.Int("podman.runs", 24, "how many random podman command lines to compare")
)

// TestPodmanRandom compares what comes of random flags of podman run, with
// mocker and with runc: everything that a container can see of itself, and how
// it ends. A failure names the seed, and with -podman.seed it comes again;
// -podman.runs=100 is the long form.
func TestPodmanRandom(t *testing.T) {
	if drive.Others() {
		t.Skip("compares mocker with runc: there is no point in RUNTIME here")
	}
	leaveNothing(t)
	b := newBench(t)
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	for i := range *runs {
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		flags, cmd := randomRun(r)
		b.scenario(fmt.Sprint(i), "", func(p *podman) {
			p.note("podman run %s box %q (-podman.seed=%d)", strings.Join(flags, " "), cmd, *seed)
			list := slices.Clone(flags)
			for i := range list {
				list[i] = strings.ReplaceAll(list[i], "VOLUME", p.volume())
			}
			r := drive.Exec(p.t, p.runLine("run", nil)[0], p.runLine("run", append([]string{"--rm"}, list...), cmd...)[1:]...)
			// Of an error only what podman makes of it is the same.
			r.Stderr = directory.ReplaceAllString(r.Stderr, "Error: $1: permission denied: OCI permission denied")
			r.Stderr = another.ReplaceAllString(r.Stderr, "$1")
			p.noteResult(r)
		})
	}
}

// choices are groups of flags, of which a command line takes one or none.
// What is left out on purpose: what no runtime has to do with (names, labels,
// networks), what needs something that not every machine has, and
// where mocker is not like Debian's runc on purpose: a process without PATH has
// a default one; a directory is no program, as newer runcs put it; what masks a path has all the flags that make it harmless, and so have the
// devices of a user namespace, whose message queues are its root's.
var choices = [][]string{
	{"--user 1000", "--user 1000:1001", "--user 0:5", "--user root", "--user 65534"},
	{"--group-add 7", "--group-add 7 --group-add 100000"},
	{"--workdir /tmp", "--workdir /data", "--workdir /no/such", "--workdir /bin/plain"},
	{"--env A=b", "--env A=b=c --env EMPTY=", "--env PATH=/data:/bin"},
	{"--hostname abc", "--uts host", "--hostname a.b.example"},
	{"--memory 64m", "--memory 64m --memory-swap 128m", "--memory-reservation 16m", "--memory 32m --memory-swap -1", "--memory-swappiness 10"},
	{"--cpus 0.5", "--cpu-shares 512", "--cpu-quota 20000 --cpu-period 50000", "--cpuset-cpus 0", "--cpuset-mems 0", "--cpuset-cpus 9999"},
	{"--pids-limit 50", "--pids-limit -1", "--pids-limit 0"},
	{"--cap-drop all", "--cap-drop all --cap-add chown", "--cap-add sys_admin", "--cap-add all", "--cap-drop chown --cap-drop kill", "--cap-add net_raw --cap-add sys_ptrace"},
	{"--security-opt no-new-privileges", "--security-opt seccomp=unconfined", "--security-opt unmask=ALL", "--security-opt unmask=/proc/acpi", "--security-opt mask=/bin/plain:/no/such", "--security-opt proc-opts=hidepid=2"},
	{"--read-only", "--read-only --read-only-tmpfs=false", "--read-only --tmpfs /data"},
	{"--tmpfs /data", "--tmpfs /data:size=1m,nr_inodes=10", "--tmpfs /data:ro,noexec", "--tmpfs /etc", "--tmpfs /new/dir:mode=711", "--tmpfs /data:notmpcopyup,nosuid"},
	{"-v VOLUME:/v", "-v VOLUME:/v:ro", "-v VOLUME:/v:noexec,nosuid,nodev", "-v VOLUME:/v:rprivate", "-v VOLUME:/v:rshared", "-v VOLUME:/v:rslave,ro", "-v VOLUME/file:/etc/file", "-v VOLUME/file:/data", "-v VOLUME:/bin/plain", "-v named:/v", "-v /v"},
	{"--mount type=bind,src=VOLUME,dst=/m,ro", "--mount type=tmpfs,dst=/m,tmpfs-size=2m,tmpfs-mode=1700", "--mount type=bind,src=VOLUME,dst=/m,bind-propagation=rslave", "--mount type=bind,src=VOLUME,dst=/m,bind-nonrecursive"},
	{"--shm-size 1m", "--ipc host", "--ipc none", "--ipc private", "--shm-size 0"},
	{"--pid host", "--pid private"},
	{"--cgroupns host", "--cgroupns private", "--cgroups no-conmon"},
	{"--uidmap 0:100000:5000 --gidmap 0:200000:5000", "--uidmap 0:100000:65536", "--uidmap 0:1000:1 --uidmap 1:100001:65534"},
	{"--ulimit nofile=100:200 --ulimit nproc=1000", "--ulimit core=0 --ulimit nofile=99 --ulimit nproc=500:600", "--ulimit stack=1000000 --ulimit nofile=64 --ulimit nproc=99"},
	{"--oom-score-adj 500", "--oom-score-adj 1000"},
	{"--device /dev/zero:/dev/mine", "--device /dev/null:/dev/dir/null:r", "--device /dev/full", "--device /no/such"},
	{"--sysctl net.ipv4.ip_forward=1", "--sysctl kernel.msgmax=4096", "--sysctl net.ipv4.no_such=1", "--sysctl kernel.hostname=x"},
	{"--init --init-path VOLUME/init"},
	{"--privileged"},
	{"--umask 077", "--umask 0"},
	{"--stop-signal KILL", "--timeout 30"},
	{"--annotation a=b"},
	{"--network host", "--network none --dns 10.1.1.1"},
	{"--entrypoint /bin/echo", "--entrypoint []"},
	{"--tty", "--interactive"},
	{"--systemd always", "--systemd false"},
}

// look tells all that a container can see of itself, but for what differs each
// time.
const look = `id 2>&1; pwd; umask; hostname; env | grep -v -e ^HOSTNAME= -e ^_= -e ^container_uuid= | sort
for l in n Hn u Hu c s Hs v l; do ulimit -$l; done
grep -E '^(Cap|NoNew|Seccomp|Groups|Uid|Gid|Shd|Sig[BC]|Cpus_allowed_list|Mems_allowed_list)' /proc/self/status
cat /proc/self/oom_score_adj /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups
for n in user mnt pid net ipc uts cgroup time; do test "$(readlink /proc/self/ns/$n)" = "$(readlink /proc/1/ns/$n)" && echo same $n; done
for f in /dev $(ls -d /dev/* | grep -v mqueue) /dev/dir/* /data /v /v/* /m /m/* /new/dir /etc /tmp /run; do stat -c '%n %F %a %u:%g %t:%T' $f 2>&1; done
awk '$5 !~ "^/sys/fs/cgroup" { print $5, ($5 ~ "^/(proc|sys|bin|dev)/" && $5 !~ "^/dev/(shm|pts|mqueue)$" ? "" : $6), ($7 == "-" ? "private" : "shared") }' /proc/self/mountinfo | sort
cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax
cd /sys/fs/cgroup && cat memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes memory/memory.soft_limit_in_bytes memory/memory.swappiness pids/pids.max \
	cpu/cpu.cfs_quota_us cpu/cpu.shares cpuset/cpuset.cpus 2>&1; sort devices/devices.list 2>&1; cd /
for d in / /data /v /m /etc /tmp /run /dev /dev/shm /proc/sys/kernel /sys; do touch $d/mine 2>&1; done
ls /proc/sys/kernel/hostname /proc/acpi /sys/firmware 2>&1 | wc -l
head -c 1 /dev/mine 2>&1 | wc -c; echo x 2>&1 >/dev/full; test -s /proc/keys && echo keys; cat /v/file /m/file /etc/file /data/* /etc/hostname 2>&1; echo
echo to stderr >&2; kill -l 2>&1 | wc -l; mknod /tmp/node c 1 11 2>&1 && head -c 1 /tmp/node 2>&1 >/dev/null
mount -t tmpfs none /data 2>&1; chroot / true 2>&1; chown 5:5 /data 2>&1; unshare -n true 2>&1
tty 2>&1; ls /proc/self/fd | wc -l; cut -d' ' -f4-6 /proc/self/stat >/dev/null
`

// randomRun makes a command line. Most are of a container that looks around.
func randomRun(r *rand.Rand) (flags, cmd []string) {
	for range 1 + r.IntN(8) {
		group := choices[r.IntN(len(choices))]
		flags = append(flags, strings.Fields(group[r.IntN(len(group))])...)
	}
	switch r.IntN(12) {
	case 0:
		cmd = []string{"nosuch"}
	case 1:
		cmd = [][]string{{"/bin/plain"}, {"/bin"}, {"/no/such"}, {"/data/"}}[r.IntN(4)]
	case 2:
		cmd = []string{"sh", "-c", fmt.Sprintf("kill -%d $$; sleep 1", []int{1, 9, 15, 6}[r.IntN(4)])}
	default:
		cmd = []string{"sh", "-c", look + fmt.Sprintf("exit %d", []int{0, 0, 1, 42, 126, 255}[r.IntN(6)])}
	}
	return flags, cmd
}
