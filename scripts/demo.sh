#!/usr/bin/env bash
# Shows a container being made, created, started, killed and deleted, each
# step with a word of explanation, and proves that nothing is left. It needs
# root, and no terminal.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts=$PWD/scripts
PATH=$PWD:$PATH:/usr/sbin:/sbin

if ((EUID != 0)); then
	echo "make demo must run as root, for its network and limits; README.md shows a container without" >&2
	exit 1
fi

id=demo-$$
work=$(mktemp -d /tmp/mocker-demo.XXXXXX)
output=$work/output
forward_before=$(</proc/sys/net/ipv4/ip_forward)
rules() { iptables-save 2>/dev/null | grep '^-A' | sort || true; }
rules_before=$(rules)

clean_up() {
	mocker delete --force "$id" || true
	rm -rf "$work"
}
trap clean_up EXIT
cd "$work" # so that the commands shown are short

# --- how things are shown
if [[ -t 1 ]]; then bold=$'\e[1m' faint=$'\e[2m' plain=$'\e[0m'; else bold='' faint='' plain=''; fi
step=0
explain() { step=$((step + 1)); printf '\n%s%d. %s%s\n' "$bold" "$step" "$1" "$plain"; [[ -z ${2-} ]] || printf '   %s\n' "${@:2}"; }
indent() { awk '{ print "      " $0 }'; }
command_line() { printf '   %s%s%s\n' "$faint" "$*" "$plain"; }
# show prints a command and what it answers.
show() { command_line "\$ $*"; "$@" | indent; }
# inside prints a command that the container's program ran, and the answer.
inside() { command_line "demo# $1"; said "$1" | indent; }
said() { awk -v name="== $1" '/^== / { on = $0 == name; next } on' "$output"; }
# links_of lists the host's side of the container's veth pair, known by its alias.
links_of() { ip -o link show | awk -v alias="alias mocker:$id" 'index($0 "\\", alias "\\") { sub("@.*", "", $2); print $2 }'; }

# --- what the container runs: it looks around, then waits to be killed
write_program() {
	cat >bundle/rootfs/demo.sh <<-'SCRIPT'
		#!/bin/sh
		# The kernel takes a moment to notice that a link has got its other end.
		tries=0
		while ip link show dev ceth0 | grep -q NO-CARRIER && [ $tries -lt 20 ]; do
			sleep 0.1
			tries=$((tries + 1))
		done
		run() { echo "== $*"; "$@"; }
		run hostname
		run ps
		run ip link ls
		run ip addr show dev ceth0
		run ip route show
		run ping -c 1 -W 2 "$(ip route show | awk '/^default/ { print $3 }')"
		echo '== end'
		exec sleep 600
	SCRIPT
	chmod 755 bundle/rootfs/demo.sh
	sed -i -e 's|"terminal": true|"terminal": false|' \
		-e 's|^\(\s*\)"\(/bin/\)\?sh"$|\1"sh", "/demo.sh"|' bundle/config.json
	grep -q '"/demo.sh"' bundle/config.json || { echo "demo: config.json does not run sh" >&2; exit 1; }
}

wait_for() {
	local what=$1 tries
	shift
	for ((tries = 0; tries < 100; tries++)); do
		! "$@" || return 0
		sleep 0.1
	done
	echo "demo: waited 10 seconds for $what" >&2
	[[ ! -s $output ]] || indent <"$output" >&2
	exit 1
}
has_ended_program() { grep -q '^== end' "$output"; }
has_stopped() { [[ $(mocker state "$id") == *'"status": "stopped"'* ]]; }

demo() {
	trap "exit 143" TERM
	echo "The life of a container. After \$ stands what is typed on this machine, after demo# what runs inside."

	explain "A bundle is made: a directory that describes a container." \
		"config.json says what to run and within which bounds; rootfs/ is all that it sees of files." \
		"Here that is busybox: one static program that is also ls, ps, ip and hundreds of others."
	show mocker spec --busybox --bundle bundle
	show ls -x bundle
	show ls -x bundle/rootfs
	write_program
	echo "   (For this demo config.json then gets another program: a script that looks around.)"
	"$scripts/subnet.sh" bundle | sed 's/.*/   (&.)/'

	explain "create: everything is in place, but the program does not run yet." \
		"Whoever called mocker, an engine such as containerd, could now do more to it."
	command_line "\$ mocker create --bundle bundle --pid-file pid $id"
	mocker create --bundle bundle --pid-file pid "$id" </dev/null >"$output" 2>&1 || { indent <"$output" >&2; exit 1; }
	show mocker state "$id"

	pid=$(<pid)
	explain "Namespaces: on this machine it is process $pid, and sees a world of its own." \
		"Different numbers are different worlds: of processes, files, names, messages, network and limits."
	for name in pid mnt uts ipc net cgroup; do
		printf '      %-8s here %-21s there %s\n' "$name" "$(readlink /proc/self/ns/$name)" "$(readlink "/proc/$pid/ns/$name")"
	done

	explain "Its network came with a hook, \"mocker hook network\", that config.json names." \
		"A cable (a veth pair) whose other end is inside, the way to the container, and a rule" \
		"that lends it the address of this machine when it talks to the internet."
	link=$(links_of)
	[[ -n $link ]] || { echo "demo: no link belongs to $id" >&2; exit 1; }
	show ip -brief address show dev "$link"
	show ip route show dev "$link"
	show iptables -t nat -S POSTROUTING

	explain "start: now the program runs."
	show mocker start "$id"
	wait_for "the program to look around" has_ended_program
	show mocker list

	explain "Inside: its own name, and its own processes, of which it is the first."
	inside hostname
	inside ps
	echo "   (The other one is the ps that looks.)"

	explain "Inside: its own network, with the other end of the cable, an address and a way out."
	inside "ip link ls"
	inside "ip addr show dev ceth0"
	inside "ip route show"

	explain "Inside: a ping of the gateway, which is this machine."
	ping=$(sed -n 's/^== \(ping .*\)/\1/p' "$output")
	inside "$ping"
	[[ $(said "$ping") == *" 0% packet loss"* ]] || { echo "demo: the gateway did not answer" >&2; exit 1; }

	explain "Its limits, as the kernel keeps them for its cgroup:" \
		"memory in bytes, CPU in microseconds of each period, number of processes."
	# Each line is hierarchy:controllers:path; the unified one has no controllers.
	cgroups=()
	while IFS=: read -r _ controllers path; do
		case ,$controllers, in
		,,) for top in /sys/fs/cgroup /sys/fs/cgroup/unified; do
			[[ ! -e $top/cgroup.procs ]] || cgroups+=("$top$path")
		done ;;
		*,memory,* | *,cpu,* | *,pids,*) cgroups+=("/sys/fs/cgroup/$controllers$path") ;;
		esac
	done <"/proc/$pid/cgroup"
	for file in memory.limit_in_bytes memory.max cpu.cfs_quota_us cpu.cfs_period_us cpu.max pids.max; do
		for dir in "${cgroups[@]}"; do
			[[ -e $dir/$file ]] || continue
			show cat "$dir/$file"
			limited=$dir
		done
	done
	show cat "$limited/cgroup.procs"
	echo "   (The last is who is bound by them: the script's process, $pid.)"

	explain "kill: the program ends. The container is still known, so that one can ask how it is."
	show mocker kill "$id" KILL
	wait_for "the container to stop" has_stopped
	show mocker state "$id"

	explain "delete: what it held is given back."
	show mocker delete "$id"

	explain "What is left of it:"
	left=0
	gone() {
		if [[ -z $2 ]]; then printf '      no %s\n' "$1"; else printf '      STILL THERE: %s: %s\n' "$1" "$2"; left=1; fi
	}
	gone "container in \"mocker list\"" "$(mocker list --quiet | grep -x "$id" || true)"
	# A zombie is dead: that its new parent has not asked for its status is not
	# the container's doing.
	gone "process $pid" "$(awk '/^State:/ && $2 != "Z"' "/proc/$pid/status" 2>/dev/null || true)"
	gone "cgroup" "$(ls -d "${cgroups[@]}" 2>/dev/null || true)"
	gone "mount" "$(grep -F "$work" /proc/self/mountinfo || true)"
	gone "link ($link was its own)" "$(links_of)"
	gone "iptables rule that was not there before" "$(comm -13 <(echo "$rules_before") <(rules))"
	gone "change of ip_forward" "$([[ $(</proc/sys/net/ipv4/ip_forward) == "$forward_before" ]] || echo "it was $forward_before")"
	gone "file in /run" "$(find /run/mocker /run/mocker-network -name "*$id*" 2>/dev/null || true)"
	return "$left"
}

# In the background, where an interrupt of the terminal reaches none of it:
# bash forgets one if the command of the moment ends well. The command of the
# moment ends, and then all is taken away.
background=
trap 'trap "" INT TERM; kill -TERM $background 2>/dev/null && wait "$background" || true; exit 130' INT TERM
demo &
background=$!
wait "$background"
