# Apps as processes of Linux, in a network namespace of this script's own, with clients
# that this project did not write. MK is `cargo mk`, and the apps are built. Says `done` at
# its end.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
    echo "failed: $*"
    cat "$dir/log"
    exit 1
}

# Starts an app in the background, and waits until it says $1, for two minutes.
start() {
    said=$1
    shift
    "$MK" run "$@" >"$dir/log" 2>&1 &
    app=$!
    tries=0
    until grep -q "$said" "$dir/log"; do
        kill -0 $app 2>"$dir/null" || fail "$* ended"
        tries=$((tries + 1))
        [ $tries -lt 1200 ] || fail "$* does not say $said"
        sleep 0.1
    done
}

# Ends it, and tells its status.
end() {
    kill $app || fail "it is not there any more"
    wait $app || return $?
}

get() {
    curl --silent --show-error --fail --globoff --max-time 20 "$@"
}

# A page, and 3 MB each way, by its address.
serves() {
    [ "$(get "http://$1/health")" = ok ] || fail "$1 is not well"
    get --data-binary "@$dir/bytes" "http://$1/echo" | cmp - "$dir/bytes" || fail "$1 changed bytes"
}

head -c 3000000 /dev/urandom >"$dir/bytes"
: >"$dir/log"
mount -t sysfs sysfs /sys
ip link set lo up
# Who may send echo requests without being root.
sysctl -q -w net.ipv4.ping_group_range="0 2147483647"

# Without a tap: what to type is said.
! "$MK" run httpd --on linux --net tap0 >"$dir/log" 2>&1 || fail "there is no tap"
grep -q "sudo ip tuntap add dev tap0 mode tap" "$dir/log" || fail "what to type is not said"

ip tuntap add dev tap0 mode tap
ip addr add 10.0.0.1/24 dev tap0
ip addr add fd00::1/64 dev tap0 nodad
ip link set tap0 up

start "listening on port 80" httpd --on linux --net tap0 ip=10.0.0.2/24,fd00::2/64
serves 10.0.0.2
serves '[fd00::2]'
get http://10.0.0.2/metrics >"$dir/metrics"
grep -q "^xenith_net_received_frames [1-9]" "$dir/metrics" || fail "no frame is counted"
httpd=$app
for address in 10.0.0.2 fd00::2; do
    # Linux's own echo requests, by its sockets.
    "$MK" run ping --on linux to=$address every=10 >"$dir/ping" 2>&1 || fail "$(cat "$dir/ping")"
    grep -q "4 sent, 4 received, 0 lost" "$dir/ping" || fail "$(cat "$dir/ping")"
    if command -v ping >"$dir/null"; then
        ping -c 3 -i 0.2 -q $address >"$dir/ping" || fail "$(cat "$dir/ping")"
        # In fragments, both ways.
        for size in 1473 4000 15000; do
            ping -c 3 -i 0.2 -q -s $size $address >"$dir/ping" || fail "$(cat "$dir/ping")"
        done
    fi
done

# A second process cannot have it, and when it vanishes the first one ends.
! "$MK" run httpd --on linux --net tap0 >"$dir/second" 2>&1 || fail "two have one tap"
grep -q "another process uses the tap tap0" "$dir/second" || fail "$(cat "$dir/second")"
ip link del tap0
status=0
wait $httpd || status=$?
[ $status = 1 ] || fail "status $status"
grep -q "error: the network interface is broken" "$dir/log" || fail "the end of the tap is not said"

# By Linux's own sockets.
start "listening on port 8080" httpd --on linux port=8080
serves 127.0.0.1:8080
serves '[::1]:8080'
! "$MK" run httpd --on linux port=8080 >"$dir/second" 2>&1 || fail "two have one port"
grep -q "error: port 8080 is in use" "$dir/second" || fail "$(cat "$dir/second")"
! "$MK" run httpd --on linux ip=10.0.0.2/24 >"$dir/second" 2>&1 || fail "it has no address"
grep -q "ip=.*: only with a network interface of the app" "$dir/second" || fail "$(cat "$dir/second")"
# A signal ends it in order: a transfer that is under way comes whole.
get --limit-rate 1M http://127.0.0.1:8080/bytes/2000000 >"$dir/transfer" &
transfer=$!
sleep 0.5
end || fail "status $?"
wait $transfer || fail "the transfer was cut off"
[ "$(wc -c <"$dir/transfer")" = 2000000 ] || fail "the transfer is not whole"

# One who is not root.
cp "$(dirname "$MK")/../debug/httpd" "$dir/httpd"
chmod 755 "$dir" "$dir/httpd"
nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
! $nobody "$dir/httpd" >"$dir/log" 2>&1 || fail "port 80 is root's"
grep -q "choose one from 1024 on, as in port=8080" "$dir/log" || fail "what to do is not said"

# An app that hears of a signal ends in order.
start "ping: ready" ping --on linux
end || fail "status $?"

echo done
