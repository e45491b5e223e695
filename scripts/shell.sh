#!/usr/bin/env bash
# Opens a shell in a busybox container and removes all of it afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

bundle=$(mktemp -d /tmp/mocker-shell.XXXXXX)
trap 'rm -rf "$bundle"' EXIT
./mocker spec --busybox --bundle "$bundle"
echo "a shell in a container; \"exit\" ends it"
status=0
./mocker run --bundle "$bundle" "shell-$$" || status=$?
exit "$status"
