#!/usr/bin/env bash
# usage: subnet.sh BUNDLE
#
# Gives a bundle of "mocker spec --busybox" another subnet, and says so, where
# this machine has the usual one in use, as those with docker often do.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

# Routes to addresses of it, or around it; those to mocker's containers go
# over links called veth0 and so on, and are in nobody's way.
free() {
	local routes
	routes=$(ip -4 route show table all root "$1"; ip -4 route show table all match "$1")
	! grep -Ev '^default | dev veth[0-9]+ ' <<<"$routes" | grep -q .
}

for subnet in 172.18.0.0/16 10.213.0.0/24 192.168.213.0/24; do
	free "$subnet" || continue
	[[ $subnet != 172.18.0.0/16 ]] || exit 0
	echo "172.18.0.0/16 is in use on this machine; so the container gets an address of $subnet, by an annotation"
	sed -i "0,/{/s|{|{ \"annotations\": { \"mocker.network.subnet\": \"$subnet\" },|" "$1/config.json"
	exit 0
done
# If all are in use, the network hook says by what.
