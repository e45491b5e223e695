#!/usr/bin/env bash
# usage: image.sh DIRECTORY (ARCH, KERNEL, PACKAGES and RUN in the environment)
#
# Makes DIRECTORY/disk, the root of the virtual machine: Debian's packages, the
# modules of the kernel, and below /mocker the source tree with mocker and a
# test binary in the folder of each package.
set -euo pipefail
cd "$(dirname "$0")/../.."

base=dist/vm/$ARCH/base
kernel=dist/vm/$(basename "$KERNEL" .deb)
disk=$1/disk root=$1/root
tags=-tags=urfave_cli_no_docs
module=$(go list -m)
export CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH

cp -a "$base" "$root"
cp -a "$kernel/lib/modules" "$root/lib/"
tar -c --exclude=./.git --exclude=./dist --exclude=./mocker --exclude=rootfs . | tar -x -C "$root/mocker"

mkdir "$root/mocker/programs"
go build -trimpath $tags -ldflags '-s -w' -o "$root/mocker/mocker" .
go build -o "$root/mocker/test2json" cmd/test2json
for program in tests/security/hostile libcontainer/inside/testdata/{spy,true}; do
	go build -o "$root/mocker/programs/" "./$program"
done

# Without a choice: all unit tests, and the black-box tests that need neither
# an engine nor the source.
unit=$(go list $tags -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | sed "s|^$module/*||; /^tests\//d")
black_box='tests/lifecycle tests/errors tests/security tests/faults tests/network tests/bundles'
for package in ${PACKAGES:-$unit $black_box}; do
	package=${package#./} package=${package%/}
	go test -c $tags -o "$root/mocker/$package/tests" "./$package"
	echo "$package" >>"$root/mocker/packages"
done
echo "$module" >"$root/mocker/module"
echo "$RUN" >"$root/mocker/run"

# Sparse, so that the free space costs nothing.
rm -f "$disk"
/sbin/mke2fs -q -t ext4 -O ^has_journal -d "$root" "$disk" 3G
rm -rf "$root"
