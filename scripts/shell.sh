#!/usr/bin/env bash
# Opens a shell in a busybox container and removes all of it afterwards. It
# ends with the status of the shell.
set -euo pipefail
cd "$(dirname "$0")/.."

if ((EUID != 0)); then
	echo "make run must run as root, for its network and limits; README.md shows a container without" >&2
	exit 1
fi

id=shell-$$
bundle=$(mktemp -d /tmp/mocker-shell.XXXXXX)
# Normally run has deleted it; not if it was killed.
clean_up() { ./mocker delete --force "$id" || true; rm -rf "$bundle"; }
trap clean_up EXIT
./mocker spec --busybox --bundle "$bundle"
scripts/subnet.sh "$bundle"
echo "a shell in a container; \"exit\" ends it"
status=0
./mocker run --bundle "$bundle" "$id" || status=$?
exit "$status"
