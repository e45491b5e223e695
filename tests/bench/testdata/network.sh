#!/bin/sh
# What "mocker hook network" makes for a container, made with ip and iptables:
# a hook, too, with the state on standard input. It makes no notes, finds no
# free name and no free address, and looks for nothing that could be in its way.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
state=$(cat)
value() {
	value=${state#*\"$1\":}
	value=${value# }
	value=${value#\"}
	value=${value%%[\",\}]*}
}
value id
id=$value
value status
status=$value
value pid
pid=$value
subnet=172.18.0.0/16 gateway=172.18.0.1
exec 9>/run/bench-network
flock 9
link=vs${#id}
if [ "${id%other}" != "$id" ]; then address=172.18.0.3; else address=172.18.0.2; fi
notes=/run/bench-network.d
others() { set -- $notes/*; [ -e "$1" ]; }
if [ "$status" = stopped ]; then
	[ -e "$notes/$id" ] || exit 0
	rm "$notes/$id"
	ip link delete "$link" 2>/dev/null || true # the kernel may have been faster
	! others || exit 0
	iptables -D FORWARD -d $subnet -o vs+ -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment bench -j ACCEPT
	iptables -D FORWARD -s $subnet -i vs+ -m comment --comment bench -j ACCEPT
	iptables -t nat -D POSTROUTING -s $subnet ! -d $subnet -m comment --comment bench -j MASQUERADE
	exit 0
fi
mkdir -p $notes
first=yes
! others || first=
: >"$notes/$id"
ip link add "$link" type veth peer name ceth0 netns "$pid"
echo 1 >"/proc/sys/net/ipv4/conf/$link/rp_filter"
echo 1 >"/proc/sys/net/ipv4/conf/$link/forwarding"
echo 1 >"/proc/sys/net/ipv6/conf/$link/disable_ipv6"
ip -batch - <<BATCH
link set $link alias bench:$id
address add $gateway/16 dev $link noprefixroute
link set $link up
BATCH
nsenter --target "$pid" --net ip -batch - <<BATCH
address add $address/16 dev ceth0 noprefixroute
link set lo up
link set ceth0 up
route add $gateway dev ceth0
route add default via $gateway
BATCH
ip route add $address dev "$link" src $gateway
[ "$first" ] || exit 0
echo 1 >/proc/sys/net/ipv4/ip_forward
iptables -t nat -A POSTROUTING -s $subnet ! -d $subnet -m comment --comment bench -j MASQUERADE
iptables -I FORWARD 1 -d $subnet -o vs+ -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment bench -j ACCEPT
iptables -I FORWARD 1 -s $subnet -i vs+ -m comment --comment bench -j ACCEPT
