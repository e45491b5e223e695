#!/usr/bin/env bash
# Makes the root file systems of the bundles in bundles/, where they are
# missing, from the busybox that "mocker spec --busybox" installs.
set -euo pipefail
cd "$(dirname "$0")/.."

made=$(mktemp -d /tmp/mocker-rootfs.XXXXXX)
trap 'rm -rf "$made"' EXIT
for bundle in bundles/*/; do
	[[ ! -e $bundle/rootfs ]] || continue
	[[ -e $made/rootfs ]] || ./mocker spec --busybox --bundle "$made"
	# By another name first: a copy that was interrupted must not be taken
	# for a whole one.
	rm -rf "$bundle/rootfs.new"
	cp -a "$made/rootfs" "$bundle/rootfs.new"
	mv "$bundle/rootfs.new" "$bundle/rootfs"
done
