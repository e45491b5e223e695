#!/bin/bash
# The init of the virtual machine, once it has its disk: makes it a machine
# like one that systemd has started, with cgroup v2 and every controller, and
# runs the tests of a list, or a shell. What goes to the port
# "events" is what "go test -json" prints.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=${TERM:-linux}
export MOCKER=/mocker/mocker MOCKER_PROGRAMS=/mocker/programs MOCKER_WITH_POINTS=/mocker/tests/faults/mocker
[[ ! -e /mocker/environment ]] || . /mocker/environment

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null # most kernels have done it
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t tmpfs -o mode=755 run /run
mount -t securityfs security /sys/kernel/security
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
mount --make-rshared /
ln -sf /proc/self/fd /dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -sf "/proc/self/fd/${n%:*}" "/dev/${n#*:}"; done
ln -sf pts/ptmx /dev/ptmx 2>/dev/null

# As systemd does: nobody lives at the root of the tree, and a login is a leaf.
mkdir /sys/fs/cgroup/session
echo $$ >/sys/fs/cgroup/session/cgroup.procs
for controller in $(</sys/fs/cgroup/cgroup.controllers); do
	echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done

echo 8 >/proc/sys/vm/nr_hugepages
echo vm >/proc/sys/kernel/hostname
ip link set lo up
ulimit -Hn 524288
# What any machine with containers has loaded by then.
modprobe -a overlay bridge veth tun dummy nf_conntrack nft_compat

# What the host wants: shell, or test1 for the first list.
word=$(sed -n 's/.*mocker=\([a-z0-9]*\).*/\1/p' /proc/cmdline)

# events gives the device of the port called events.
events() {
	local port
	for port in /sys/class/virtio-ports/*; do
		[[ $(<"$port/name") = events ]] && echo "/dev/${port##*/}"
	done
}

# run_package runs the tests of one as "go test" does, and says as much about
# how they ended. They are no children of test2json, which ignores SIGINT, and
# with it all that it starts would.
run_package() {
	# Disassembles what it compiles, for every architecture: left to others.
	local skip='^TestChildCode$' seconds=1500
	[[ ! -e /mocker/skip ]] || skip+="|^Test($(</mocker/skip))\$"
	local flags=(-test.v=test2json -test.timeout="${seconds}s" -test.short "-test.run=$(</mocker/run)" "-test.skip=$skip")
	cd "/mocker/$1" || return
	{
		timeout -k 5 $((seconds + 30)) ./tests "${flags[@]}" || printf 'FAIL\nexit status %s\n' $?
	} </dev/null 2>&1 | timeout -k 5 $((seconds + 40)) /mocker/test2json -t -p "$2" ||
		# A container that a test has left keeps its output open.
		printf '{"Action":"fail","Package":"%s"}\n' "$2"
}

run_tests() {
	local list=${word#test} package module
	module=$(</mocker/module)
	echo "Linux $(uname -rm), up after $(cut -d ' ' -f 1 /proc/uptime) s; controllers: $(</sys/fs/cgroup/cgroup.controllers); AppArmor: $(</sys/module/apparmor/parameters/enabled)"
	while read -r package; do
		run_package "$package" "$module/$package"
	done <"/mocker/packages.$list"
	echo "all tests of list $list have been run after $(cut -d ' ' -f 1 /proc/uptime) s"
}

if [[ $word = shell ]]; then
	cd /mocker
	busybox setsid busybox cttyhack bash
else
	run_tests >"$(events)"
fi
sync
busybox poweroff -f
