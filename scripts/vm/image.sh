#!/usr/bin/env bash
# usage: image.sh DIRECTORY (ARCH, KERNEL, PACKAGES, ALL, RUN, RECORD and RUNTIME in the environment)
#
# Makes DIRECTORY/disk, the root of the virtual machine: Debian's packages, the
# modules of the kernel, and below /mocker the source tree with mocker and a
# test binary in the folder of each package. DIRECTORY/packages.1 and .2 are
# lists of these, each for a machine.
set -euo pipefail
cd "$(dirname "$0")/../.."

base=dist/vm/$ARCH/base
kernel=$(scripts/vm/folder.sh)
directory=$1 disk=$1/disk root=$1/root
tags=-tags=urfave_cli_no_docs
module=$(go list -m)
export CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH

cp -a "$base" "$root"
cp -a "$kernel/lib/modules" "$root/lib/"
tar -c --exclude=./.git --exclude=./dist --exclude=./mocker --exclude=rootfs . | tar -x -C "$root/mocker"

mkdir "$root/mocker/programs"
make --no-print-directory -s build BINARY="$root/mocker/mocker"
go build -o "$root/mocker/test2json" cmd/test2json
for program in tests/security/hostile libcontainer/inside/testdata/{spy,true}; do
	go build -o "$root/mocker/programs/" "./$program"
done

# tested PACKAGE... gives the folders of those that have tests.
tested() {
	go list $tags -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' "$@" | sed "s|^$module/*||"
}

add() {
	local list=$1 package
	shift
	for package in "$@"; do
		package=${package#./} package=${package%/}
		if [[ $package = tests/conformance ]]; then
			add_suite
		else
			go test -c $tags -o "$root/mocker/$package/tests" "./$package"
		fi
		if [[ $package = tests/faults ]]; then
			make --no-print-directory -s build MORE_TAGS=killpoints BINARY="$root/mocker/$package/mocker"
		fi
		echo "$package" >>"$directory/packages.$list"
	done
}

# add_suite is for tests/conformance, a module of its own, with the programs
# that it runs.
add_suite() {
	make --no-print-directory dist/conformance/runtimetest
	mkdir -p "$root/mocker/dist"
	cp -r dist/conformance "$root/mocker/dist/"
	ln -sf busybox "$root/usr/bin/gzip" # they call tar for the root file systems
	go test -C tests/conformance -c $tags -o "$PWD/$root/mocker/tests/conformance/tests" .
}
if [[ $PACKAGES ]]; then
	add 1 $PACKAGES
else
	# All but what needs an engine, the source, or no kernel at all; and what has
	# more to do with mocker's own text, with one set of system calls or with
	# iptables than with the machine, or is the same on any cgroups and takes
	# long, unless all is asked for. In two lists that take about as long.
	left='specconv|libcontainer/(entry|lazyjson)|tests/(bench|budget|coverage|demo|engines|escapes|house|report|validate)'
	if [[ ! $ALL ]]; then
		left+='|hooks/network|libcontainer/seccomp|tests/(box|bundles|errors|faults|hooks|mounts|namespaces)'
		echo 'LinksLeadNowhere|ExecLeadsNowhere|PasswdOfTheImage' >"$root/mocker/skip"
	fi
	first=$(tested ./... | grep -v '^tests/' | grep -vxE "$left")
	first+=$(printf '\ntests/%s' exec lifecycle rootless security)
	first=$(grep -vxE "$left" <<<"$first")
	add 1 $first
	add 2 $(tested ./tests/... | grep -vxE "$left" | grep -vxF "$first")
fi
cp "$directory"/packages.* "$root/mocker"
echo "$module" >"$root/mocker/module"
echo "$RUN" >"$root/mocker/run"
if [[ ${RECORD:-} ]]; then # of tests/conformance
	printf 'export RECORD=say RUNTIME=%q\n' "${RUNTIME:-}" >"$root/mocker/environment"
fi

# Sparse, so that the free space costs nothing.
rm -f "$disk"
/sbin/mke2fs -q -t ext4 -O ^has_journal -d "$root" "$disk" 3G
rm -rf "$root"
