#!/usr/bin/env bash
# Shows a container being made, created, started, killed and deleted, each
# step with a word of explanation, and proves that nothing is left. It needs
# root, and no terminal.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD:$PATH:/usr/sbin:/sbin

if ((EUID != 0)); then
	echo "make demo must run as root: containers without root are not built yet" >&2
	exit 1
fi

id=demo-$$
work=$(mktemp -d /tmp/mocker-demo.XXXXXX)
bundle=$work/bundle
output=$work/output
had_root=$([[ -e /run/mocker ]] && echo yes || true)
forward_before=$(</proc/sys/net/ipv4/ip_forward)
rules() { iptables-save 2>/dev/null | grep '^-A' || true; }
rules_before=$(rules)

clean_up() {
	mocker delete --force "$id" || true
	rm -rf "$work"
	[[ -n $had_root ]] || rmdir /run/mocker 2>/dev/null || true
}
trap clean_up EXIT

if [[ -t 1 ]]; then bold=$'\e[1m' faint=$'\e[2m' plain=$'\e[0m'; else bold='' faint='' plain=''; fi
step=0
explain() { step=$((step + 1)); printf '\n%s%d. %s%s\n' "$bold" "$step" "$*" "$plain"; }
indent() { awk '{ print "   " $0 }'; }
# show prints a command and what it answers.
show() { printf '   %s$ %s%s\n' "$faint" "$*" "$plain"; "$@" | indent; }
# links_of lists the host's side of the container's veth pair, known by its alias.
links_of() { ip -o link show | awk -v alias="alias mocker:$id" 'index($0 "\\", alias "\\") { sub("@.*", "", $2); print $2 }'; }
# section prints one part of what the container's process said.
section() { awk -v name="== $1" '/^== / { on = $0 == name; next } on' "$output" | indent; }

# --- what the container runs: it looks around, then waits to be killed
write_program() {
	cat >"$bundle/rootfs/demo.sh" <<-'SCRIPT'
		#!/bin/sh
		gateway=$(ip route | awk '/^default/ { print $3 }')
		echo '== name';      hostname
		echo '== processes'; ps
		echo '== links';     ip link
		echo '== address';   ip addr show dev ceth0
		echo '== route';     ip route
		echo '== ping';      ping -c 1 -W 2 "$gateway"
		echo '== end'
		exec sleep 600
	SCRIPT
	chmod 755 "$bundle/rootfs/demo.sh"
	sed -i -e 's|"terminal": true|"terminal": false|' \
		-e 's|^\(\s*\)"\(/bin/\)\?sh"$|\1"sh", "/demo.sh"|' "$bundle/config.json"
	grep -q '"/demo.sh"' "$bundle/config.json" || { echo "demo: config.json does not run sh" >&2; exit 1; }
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

explain "A bundle is a directory: config.json says what to run, rootfs/ is what it sees."
show mocker spec --busybox --bundle "$bundle"
show ls "$bundle" "$bundle/rootfs"
write_program
echo "   (for this demo, config.json now runs a script that looks around, without a terminal)"

explain "create: everything is made, the program waits. Its network came with a hook."
printf '   %s$ mocker create --bundle %s %s%s\n' "$faint" "$bundle" "$id" "$plain"
mocker create --bundle "$bundle" --pid-file "$work/pid" "$id" </dev/null >"$output" 2>&1 ||
	{ indent <"$output" >&2; exit 1; }
show mocker state "$id"

pid=$(<"$work/pid")
explain "Its process is $pid here; it lives in namespaces of its own."
for name in pid mnt uts ipc net cgroup; do
	printf '   %-7s here %s, there %s\n' "$name" "$(readlink /proc/self/ns/$name)" "$(readlink "/proc/$pid/ns/$name")"
done

explain "On this side of its network: one end of a veth pair, a route to it, and masquerading."
link=$(links_of)
[[ -n $link ]] || { echo "demo: no link belongs to $id" >&2; exit 1; }
show ip -brief address show dev "$link"
show ip route show dev "$link"
show iptables -t nat -S POSTROUTING

explain "start: the program is executed."
show mocker start "$id"
wait_for "the program to look around" has_ended_program
show mocker list

explain "Inside, its name is"
section name
explain "Inside, it sees only its own processes, and is the first:"
section processes
explain "Inside, its network:"
section links
section address
section route
explain "Inside, a ping of its gateway:"
section ping
[[ $(section ping) == *" 0% packet loss"* ]] || { echo "demo: the gateway did not answer" >&2; exit 1; }

explain "Its limits are those of its cgroup: memory, CPU, number of processes."
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
for dir in "${cgroups[@]}"; do
	for file in memory.limit_in_bytes memory.max cpu.cfs_quota_us cpu.max pids.max; do
		[[ ! -e $dir/$file ]] || printf '   %s = %s\n' "$dir/$file" "$(<"$dir/$file")"
	done
done

explain "kill: the program ends."
show mocker kill "$id" KILL
wait_for "the container to stop" has_stopped
show mocker state "$id"

explain "delete: what it held is given back."
show mocker delete "$id"

explain "Nothing is left:"
left=0
gone() {
	if [[ -z $2 ]]; then printf '   no %s\n' "$1"; else printf '   STILL THERE: %s: %s\n' "$1" "$2"; left=1; fi
}
gone "container in \"mocker list\"" "$(mocker list --quiet | grep -x "$id" || true)"
# A zombie is dead: that its new parent has not asked for its status is not
# the container's doing.
gone "process $pid" "$(awk '/^State:/ && $2 != "Z"' "/proc/$pid/status" 2>/dev/null || true)"
gone "link $link of it" "$(links_of)"
gone "iptables rule that was not there before" "$(comm -13 <(sort <<<"$rules_before") <(rules | sort))"
gone "cgroup of it" "$(ls -d "${cgroups[@]}" 2>/dev/null || true)"
gone "mount below its bundle" "$(grep -F "$bundle" /proc/self/mountinfo || true)"
gone "change of ip_forward" "$([[ $(</proc/sys/net/ipv4/ip_forward) == "$forward_before" ]] || echo "it was $forward_before")"
exit "$left"
