#!/usr/bin/env bash
# usage: vm.sh test|shell
#
# Boots a virtual machine with a Debian kernel and cgroup v2 alone, and runs
# the tests in it, or opens a shell. docs/vm.md tells how it works.
#
# From the environment:
#   ARCH      of the machine: amd64 or arm64; this machine's if not set
#   KERNEL    Debian package of the kernel, PACKAGE/SUITE, or a .deb;
#             linux-image-cloud-$ARCH if not set
#   ACCEL     kvm or tcg; kvm if not set and a machine starts under it
#   PACKAGES  folders of the tests to run, like "tests/lifecycle specconv"; "all"
#             for all that can run there
#   RUN       regular expression of the tests to run, as for go test -run
#   PLACE     name of the results, if they are to be kept for "make table";
#             those of a choice of tests are not, if it is not set
#   LIMIT     seconds after which the machine is killed; 2400 if not set
set -euo pipefail
cd "$(dirname "$0")/.."

mode=${1:?test or shell}
host=$(dpkg --print-architecture)
export ARCH=${ARCH:-$host}
export KERNEL=${KERNEL:-linux-image-cloud-$ARCH}
export PACKAGES=${PACKAGES:-} RUN=${RUN:-} ALL=
[[ $PACKAGES != all ]] || PACKAGES='' ALL=yes
PLACE=${PLACE:-}

# What differs between the architectures is in this table alone.
case $ARCH in
amd64) qemu=qemu-system-x86_64 package=qemu-system-x86 machine=q35 console=ttyS0 cpu=Nehalem ;; # the features of newer ones cost TCG a third
arm64) qemu=qemu-system-aarch64 package=qemu-system-arm machine=virt console=ttyAMA0 cpu=max,pauth-impdef=on ;;
*) echo "no virtual machine for ARCH=$ARCH: amd64 or arm64" >&2 && exit 1 ;;
esac

scripts/need.sh "$qemu=$package" busybox=busybox-static mke2fs=e2fsprogs
mkdir -p dist/vm
work=$(mktemp -d dist/vm/run.XXXXXX)
trap 'rm -rf "$work"' EXIT
scripts/vm/packages.sh
scripts/vm/image.sh "$work"
kernel=$(scripts/vm/folder.sh)

# boot SECONDS ACCEL WORD [FLAG]... becomes a machine until its end, which
# comes after SECONDS at the latest. WORD tells scripts/vm/init what to do. What
# it writes to its disk goes with it.
boot() {
	local seconds=$1 accel=$2 word=$3
	shift 3
	[[ $accel = tcg ]] || cpu=host
	# qemu makes its own temporary files: not where tests look for leftovers
	TMPDIR=$work exec timeout --foreground -k 5 "$seconds" "$qemu" \
		-machine "$machine" -accel "$accel" -cpu "$cpu" -smp 2 -m 2048 \
		-nodefaults -no-user-config -display none -no-reboot \
		-kernel "$kernel/vmlinuz" -initrd "$kernel/initrd" \
		-append "console=$console panic=-1 quiet mitigations=off cgroup_no_v1=all apparmor=1 security=apparmor mocker=$word" \
		-drive "file=$work/disk,format=raw,if=virtio,snapshot=on" \
		-device virtio-rng-pci -device virtio-serial-pci "$@"
}

# accelerator gives kvm or tcg. There are machines with a /dev/kvm under which
# nothing ever starts, so it is tried, once in this machine's uptime.
accelerator() {
	local tried
	tried=dist/vm/accelerator-$ARCH-$(</proc/sys/kernel/random/boot_id)
	if [[ ! -e $tried ]]; then
		rm -f "dist/vm/accelerator-$ARCH-"*
		echo tcg >"$tried"
		if [[ $ARCH = "$host" && -w /dev/kvm ]] && (boot 6 kvm probe) </dev/null >/dev/null 2>&1; then
			echo kvm >"$tried"
		fi
	fi
	cat "$tried"
}
accel=${ACCEL:-$(accelerator)}

if [[ $mode = shell ]]; then
	echo "a shell in the virtual machine ($accel); \"exit\" ends it, and so does ctrl-a x" >&2
	(boot 86400 "$accel" shell -serial mon:stdio)
	exit
fi

# The columns of the table of results are called after these files.
place=v2-guest
[[ $ARCH = "$host" ]] || place+=-$ARCH
[[ $KERNEL = linux-image-cloud-$ARCH ]] || place+=-${kernel##*/}
place=${PLACE:-$place}
results=dist/results/$place.json
[[ $PLACE || ! $PACKAGES$RUN ]] || results=dist/vm/$place.json
limit=${LIMIT:-2400}
mkdir -p dist/results
go build -o dist/report ./tests/report

# run_tests LIST runs the tests of one list in a machine of their own, and
# writes what they say to $work/events.LIST. Emulated, one boot in some dozens
# stands still before there is an init: such a machine is started again.
run_tests() {
	local events=$work/events.$1 pid try second
	trap 'kill "$pid" 2>/dev/null' TERM
	for try in 1 2 3; do
		boot "$limit" "$accel" "test$1" -serial "file:dist/vm/$place-$1.log" \
			-chardev "file,id=events,path=$events" -device virtserialport,chardev=events,name=events </dev/null &
		pid=$!
		for ((second = 0; second < 120; second++)); do
			if [[ -s $events ]] || ! kill -0 "$pid" 2>/dev/null; then break; fi
			sleep 1
		done
		if [[ -s $events ]] || ((try == 3)); then
			wait "$pid"
			return
		fi
		echo "virtual machine $1 is not up after $second s: starting another" >&2
		kill "$pid" 2>/dev/null
		wait "$pid"
	done
}

# Two machines, as long as there are two lists: a test rarely uses more than
# one processor. The first is told as it comes, the second afterwards.
touch "$work/events.1" "$work/events.2"
set +e
run_tests 1 &
machines=($!)
if [[ -e $work/packages.2 ]]; then
	run_tests 2 &
	machines+=($!)
fi
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
{
	echo "# $place"
	tail -n +1 -f --pid="${machines[0]}" "$work/events.1"
	if [[ ${machines[1]:-} ]]; then
		tail -n +1 -f --pid="${machines[1]}" "$work/events.2"
	fi
} | tee "$results" | dist/report
passed=${PIPESTATUS[2]}
set -e

# A machine that died has tests that never began, and nobody misses them.
for list in "$work"/packages.*; do
	log=dist/vm/$place-${list##*.}.log
	if ! grep -q "^all tests of list ${list##*.} have been run" "$results"; then
		echo "the virtual machine ended before its tests, or was killed after $limit s; the last of $log:" >&2
		tail -n 20 "$log" >&2
		passed=1
	fi
done
if [[ ! $PACKAGES && ! $RUN ]]; then
	dist/report -covered docs/spec-coverage.md "$results" || passed=1
fi
exit "$passed"
