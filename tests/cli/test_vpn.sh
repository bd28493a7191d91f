# Two computers and a VPN between them, with real packets: network namespaces joined by a cable, WireGuard (wireguard-go, in user
# space) as `cytofs member add --wireguard` configures it, the lab served inside the VPN alone. The cable is pulled, and the
# workstation gets another address, while somebody works.
source "$(dirname "$0")/cli.sh"
need_mount
for program in ip nsenter wg wg-quick wireguard-go; do
    if ! command -v $program >/dev/null; then
        echo "skipped: $program is missing"
        exit 77
    fi
done
server=cytofs-s$$ workstation=cytofs-w$$ # namespaces, and the tunnels' ends in them
if [ "$(id -u)" != 0 ] || [ ! -c /dev/net/tun ] || ! ip netns add "$server" 2>/dev/null; then
    echo "skipped: network namespaces and tunnels need root, /dev/net/tun and the kernel's leave"
    exit 77
fi
tear_down() {
    clean_up
    ip netns pids "$server" 2>/dev/null | xargs -r kill -KILL
    ip netns pids "$workstation" 2>/dev/null | xargs -r kill -KILL
    ip netns del "$server"
    ip netns del "$workstation" 2>/dev/null
}
trap tear_down EXIT
on_server() { nsenter --net="/run/netns/$server" env HOME="$work/ada" XDG_CONFIG_HOME="$work/ada/.config" XDG_STATE_HOME="$work/ada/.state" "$@"; }
on_workstation() { nsenter --net="/run/netns/$workstation" env HOME="$work/bob" XDG_CONFIG_HOME="$work/bob/.config" XDG_STATE_HOME="$work/bob/.state" XDG_CACHE_HOME="$work/bob/.cache" "$@"; }
tunnel() { WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go "on_$1" wg-quick up "$2"; }
reaches() { on_workstation timeout 5 bash -c "exec 3<>/dev/tcp/$1/7331" 2>/dev/null; }
is_silent() { ! reaches "$1"; }
received() { on_workstation wg show "$workstation" transfer | cut -f2; }
cable() { ip -n "$workstation" link set outside "$1"; }
theirs=$work/bob/lab ours=$work/ada/lab
mkdir -p "$theirs" "$ours"
cd "$work" || exit 1

check "two computers and a cable" bash -ec "
    ip netns add $workstation
    ip -n $server link add outside type veth peer name outside netns $workstation
    ip -n $server addr add 192.0.2.1/24 dev outside
    ip -n $workstation addr add 192.0.2.2/24 dev outside
    for name in $server $workstation; do ip -n \$name link set lo up; ip -n \$name link set outside up; done"
check "ada makes a lab" expect_status 0 on_server "$cytofs" init --member ada "$work/store"
check "and invites bob, with the VPN" expect_status 0 on_server "$cytofs" member add "$work/store" bob --wireguard 192.0.2.1 --subnet 10.9.8.0/24
read -ra invitation <"$work/out"
mv cytofs-wg.conf "$server.conf" && mv bob.conf "$workstation.conf"
check "the server's end of the tunnel" expect_status 0 tunnel server "$work/$server.conf"
check "the workstation's" expect_status 0 tunnel workstation "$work/$workstation.conf"
check "the lab is served in the VPN alone" expect_status 0 on_server "$cytofs" serve "$work/store" --listen 10.9.8.1 --no-node
check "outside it nobody answers" is_silent 192.0.2.1
check "inside it the server does" wait_for 60 reaches 10.9.8.1
check "bob joins through it" expect_status 0 on_workstation timeout 60 "$cytofs" "${invitation[@]:1}"
check "and mounts" expect_status 0 on_workstation timeout 60 "$cytofs" mount bob@10.9.8.1 "$theirs"
check "ada uses the lab on the server" expect_status 0 on_server "$cytofs" mount "$work/store" "$ours"

head -c 16777216 /dev/urandom >"$work/image"
mkdir "$ours/datasets/cells" && cp "$work/image" "$ours/datasets/cells/image"
before=$(received)
check "what she wrote he reads" cmp "$work/image" "$theirs/datasets/cells/image"
check "and it came through the tunnel" [ $(($(received) - before)) -gt 16777216 ]

# A stream of operations that must each be done once.
work_on() {
    mkdir "$theirs/home/bob/steps" || return 1
    for ((step = 1; step <= 60; step++)); do
        mkdir "$theirs/home/bob/steps/$step" && mv "$theirs/home/bob/steps/$step" "$theirs/home/bob/steps/done $step" &&
            echo "$step" >>"$theirs/home/bob/diary" || return 1
        sleep 0.1
    done
    cp "$work/image" "$theirs/home/bob/image"
}
work_on &
working=$!
sleep 1
check "the cable is pulled for three seconds" cable down
sleep 3
check "and put back" cable up
sleep 1
check "the workstation moves to another address" bash -ec "
    ip -n $workstation addr del 192.0.2.2/24 dev outside
    ip -n $workstation addr add 192.0.2.77/24 dev outside"
check "whoever worked notices nothing" wait "$working"
check "everything was done" [ "$(find "$theirs/home/bob/steps" -name 'done *' | wc -l)" = 60 ]
check "once, in order" cmp <(seq 60) "$theirs/home/bob/diary"
check "the server follows the workstation" bash -c "nsenter --net=/run/netns/$server wg show $server endpoints | grep -q 192.0.2.77"
check "bob leaves" fusermount3 -u "$theirs"
check "he comes back" expect_status 0 on_workstation timeout 60 "$cytofs" mount bob@10.9.8.1 "$theirs"
check "and finds his image whole" cmp "$work/image" "$theirs/home/bob/image"
check "ada shuts him out" expect_status 0 on_server "$cytofs" member revoke "$work/store" bob
check "at once" wait_for 60 bash -c "! ls '$theirs/datasets' >/dev/null 2>&1"
check "ada leaves" fusermount3 -u "$ours"
