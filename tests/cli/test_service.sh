# A served lab under a service manager: it says when it is ready and that it stops (sd_notify(3), heard here by a socket that stands for the manager's),
# a stop is graceful, and the unit is one that systemd takes.
source "$(dirname "$0")/cli.sh"
need_mount
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
units=$(dirname "$0")/../../tools/systemd

listen() { # writes each message as a line
    python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode(), flush=True)' "$work/notify" >"$work/heard" &
    listener=$!
}
heard() { grep -q "$1" "$work/heard"; }
has_heard() { [ "$(grep -c "$1" "$work/heard")" -ge "$2" ]; } # WORD TIMES
is_gone() { ! kill -0 "$1" 2>/dev/null; }

check "a lab is made" expect_status 0 "$cytofs" init --member ada "$work/store"
listen
check "the manager listens" wait_for 60 test -S "$work/notify"
NOTIFY_SOCKET=$work/notify "$cytofs" serve --foreground --no-node --socket "$work/store/serve/socket" "$work/store" >"$work/log" 2>&1 &
server=$!
check "it says that it is ready" wait_for 60 heard '^READY=1'
check "and then it is: whoever connects is served" expect_status 0 "$cytofs" member list "$work/store"
check "it has not said that it stops" bash -c "! grep -q STOPPING '$work/heard'"
NOTIFY_SOCKET=$work/notify "$cytofs" mount --foreground --no-cache "$work/store" "$lab" >"$work/mount.log" 2>&1 &
mount=$!
check "a workstation's mount says that it is ready" wait_for 60 has_heard '^READY=1' 2
check "and then it is" [ -d "$lab/datasets" ]
kill -TERM $mount
check "it ends when it is told to" wait_for 60 is_gone $mount
wait $mount
check "with status 0" [ $? = 0 ]
check "having said so" wait_for 60 heard '^STOPPING=1'
check "and unmounted" bash -c "! grep -q ' $lab fuse' /proc/self/mounts"
kill -TERM $server
check "the server ends when it is told to" wait_for 60 is_gone $server
wait $server
check "with status 0" [ $? = 0 ]
check "having said so" wait_for 60 has_heard '^STOPPING=1' 2
kill $listener
check "the store is whole" expect_status 0 "$cytofs" fsck "$work/store"

if command -v systemd-analyze >/dev/null; then
    mkdir "$work/units"
    for unit in serve mount; do
        sed "s#^ExecStart=cytofs#ExecStart=$cytofs#" "$units/cytofs-$unit@.service" >"$work/units/cytofs-$unit@.service"
    done
    check "systemd takes the server's unit" expect_status 0 systemd-analyze verify --man=no "$work/units/cytofs-serve@lab.service"
    check "without a word" [ ! -s "$work/err" ]
    check "and the workstation's" expect_status 0 systemd-analyze --user verify --man=no "$work/units/cytofs-mount@bob@lab-1.example.service"
    check "without a word" [ ! -s "$work/err" ]
else
    echo "skipped: systemd-analyze is not here"
fi
