#!/usr/bin/env bash
# usage: need.sh COMMAND[=PACKAGE]... /FILE=PACKAGE...
#
# Installs with apt-get the Debian packages of the commands and files that are
# missing, saying so. A PACKAGE may be left out where it is called like its
# command. A daemon that comes with a package is not started.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin
missing=()
for need in "$@"; do
	name=${need%%=*}
	[[ $name == /* && -e $name ]] || command -v "$name" >/dev/null || missing+=("${need#*=}")
done
((${#missing[@]})) || exit 0

install=(apt-get install --yes --no-install-recommends "${missing[@]}")
if ! command -v apt-get >/dev/null; then
	echo "missing: ${missing[*]} (and there is no apt-get here to install it with)" >&2
	exit 1
fi
if ((EUID != 0)); then
	echo "missing: ${missing[*]}; as root: ${install[*]}" >&2
	exit 1
fi
echo "installing what is missing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
made=("$log")
trap 'rm -f "${made[@]}"' EXIT
# docker.io's would set up a bridge, firewall rules and cgroups.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
	made+=("$policy")
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi
if ! { apt-get update && "${install[@]}"; } >"$log" 2>&1; then
	cat "$log" >&2
	exit 1
fi
