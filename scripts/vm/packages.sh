#!/usr/bin/env bash
# usage: packages.sh (ARCH and KERNEL in the environment)
#
# Gets from Debian what the virtual machine is made of, for any architecture,
# and installs nothing here: apt-get is given a system of its own below
# dist/vm, in which nothing is installed, and so names all that is needed.
#
#   dist/vm/ARCH/base      the root file system, unpacked, not configured
#   dist/vm/KERNEL         vmlinuz, lib/modules, an initrd that finds the disk;
#                          with "-SUITE" where KERNEL is PACKAGE/SUITE
set -euo pipefail
cd "$(dirname "$0")/../.."

base=dist/vm/$ARCH/base
kernel=$(scripts/vm/folder.sh)
apt=$PWD/dist/vm/$ARCH/apt
debian=(-o APT::Architecture="$ARCH" -o APT::Architectures="$ARCH" -o APT::Sandbox::User=root
	-o APT::Install-Recommends=false -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt")

# What tests call; runtimes to compare with; usr-is-merged lest usrmerge comes
# with all of perl.
packages=(base-files base-passwd bash busybox-static coreutils dash findutils grep sed mawk tar usr-is-merged
	util-linux mount procps strace iproute2 iptables uidmap apparmor make runc crun podman conmon)

# The modules that the initrd needs. Those that are built in are not missed.
modules='virtio_pci virtio_mmio virtio_blk virtio_console virtio_rng ext4'

update() {
	mkdir -p "$apt/lists/partial" "$apt/archives/partial"
	: >"$apt/status"
	echo "getting $1 from Debian"
	apt-get "${debian[@]}" -qq update
}

make_base() {
	local new=$base.new
	update "the virtual machine's packages ($ARCH)"
	apt-get "${debian[@]}" -qq --yes --download-only install "${packages[@]}"
	rm -rf "$base" "$new"
	mkdir -p "$new"/usr/{bin,sbin,lib,lib64} "$new"/{proc,sys,dev,run,tmp,root,mocker,usr/local/{bin,sbin}}
	for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$new/$dir"; done
	for deb in "$apt"/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$new"
	done
	rm -rf "$new"/usr/share/{doc,man,locale,info} "$apt/archives"
	configure "$new"
	mv "$new" "$base"
}

# configure does what the packages' own scripts would have done.
configure() {
	ln -sf dash "$1/bin/sh"
	ln -sf mawk "$1/bin/awk"
	# Not kmod's: that needs an index which only its own depmod makes, on a
	# machine of the same architecture.
	ln -sf ../bin/busybox "$1/sbin/modprobe"
	for tool in iptables iptables-save iptables-restore ip6tables; do
		ln -sf xtables-nft-multi "$1/usr/sbin/$tool"
	done
	cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"
	cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"
	echo user:x:1000:1000::/tmp:/bin/bash >>"$1/etc/passwd"
	echo user:x:1000: >>"$1/etc/group"
	echo user:100000:65536 | tee "$1/etc/subuid" >"$1/etc/subgid"
	echo vm >"$1/etc/hostname"
	: >"$1/etc/resolv.conf"
	echo '127.0.0.1 localhost vm' >"$1/etc/hosts"
	chmod 1777 "$1/tmp"
}

make_kernel() {
	local new=$kernel.new version
	rm -rf "$kernel" "$new"
	mkdir -p "$new/deb"
	get_kernel "$new/deb"
	for deb in "$new"/deb/*.deb; do dpkg-deb -x "$deb" "$new"; done
	[[ ! -d $new/usr/lib/modules ]] || { mkdir -p "$new/lib" && mv "$new/usr/lib/modules" "$new/lib/"; } # since Debian 13
	version=$(basename "$new"/lib/modules/*)
	mv "$new/boot/vmlinuz-$version" "$new/vmlinuz" 2>/dev/null || mv "$new/lib/modules/$version/vmlinuz" "$new/vmlinuz"
	find "$new/lib/modules" -name '*.ko.xz' -exec busybox unxz {} + # busybox's modprobe hands them over as they are
	busybox depmod -b "$new" "$version"
	make_initrd "$new" "lib/modules/$version"
	rm -rf "$new"/{deb,boot,usr}
	mv "$new" "$kernel"
}

get_kernel() {
	if [[ $KERNEL = *.deb ]]; then
		cp "$KERNEL" "$1"
		return
	fi
	local package=${KERNEL%/*} newest uri
	if [[ $KERNEL = */* ]]; then # from where this machine gets its own
		uri=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | awk '$1 == "Debian" { print $2; exit }')
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri ${KERNEL#*/} main" >"$1/sources.list"
		debian+=(-o Dir::Etc::sourcelist="$PWD/$1/sources.list" -o Dir::Etc::sourceparts=/dev/null)
	fi
	update "$KERNEL"
	# A package like linux-image-cloud-amd64 only names the newest, and since
	# Linux 6.19 that one only names its parts.
	newest=$(depends "$package" '^linux-image-[0-9]')
	newest=${newest:-$package}
	(cd "$1" && apt-get "${debian[@]}" -qq download "$newest" $(depends "$newest" '^linux-(binary|modules)-[0-9]'))
}

# depends PACKAGE PATTERN gives the packages that it depends on.
depends() {
	apt-cache "${debian[@]}" depends "$1" | awk -v pattern="$2" '$1 == "Depends:" && $2 ~ pattern { print $2 }'
}

# make_initrd KERNEL MODULES makes what the kernel starts with: busybox, the
# modules for the disk with those that they depend on, and an init.
make_initrd() {
	local root=$1/initrd.d
	mkdir -p "$root"/{bin,proc,dev,disk,"$2"}
	cp "$base/bin/busybox" "$root/bin/"
	cp scripts/vm/init "$root/init"
	cp "$1/$2"/modules.* "$root/$2"
	awk -v wanted="$modules" '
		BEGIN { n = split(wanted, names); for (i = 1; i <= n; i++) want[names[i]] = 1 }
		{ name = $1; gsub(/.*\/|\.ko.*/, "", name); gsub("-", "_", name) }
		name in want { gsub(":", ""); for (i = 1; i <= NF; i++) print $i }' "$1/$2/modules.dep" |
		sort -u | while read -r module; do
		install -D -m 0644 "$1/$2/$module" "$root/$2/$module"
	done
	echo "$modules" >"$root/modules"
	(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$1/initrd"
	rm -rf "$root"
}

# What is there is kept, as long as it was made by these scripts.
if [[ ! $base -nt scripts/vm/packages.sh ]]; then
	make_base
	touch "$base"
fi
if [[ ! $kernel -nt scripts/vm/packages.sh || ! $kernel -nt scripts/vm/init ]]; then
	make_kernel
	touch "$kernel"
fi
