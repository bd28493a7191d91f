# A served lab under a service manager: it says when it is ready and that it stops (sd_notify(3), heard here by a socket that stands for the manager's),
# a stop is graceful, and the unit is one that systemd takes.
source "$(dirname "$0")/cli.sh"
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
unit=$(dirname "$0")/../../tools/systemd/cytofs-serve@.service

listen() { # writes each message as a line
    python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode(), flush=True)' "$work/notify" >"$work/heard" &
    listener=$!
}
heard() { grep -q "$1" "$work/heard"; }
is_gone() { ! kill -0 "$server" 2>/dev/null; }

check "a lab is made" expect_status 0 "$cytofs" init --member ada "$work/store"
listen
check "the manager listens" wait_for 60 test -S "$work/notify"
NOTIFY_SOCKET=$work/notify "$cytofs" serve --foreground --no-node --socket "$work/store/serve/socket" "$work/store" >"$work/log" 2>&1 &
server=$!
check "it says that it is ready" wait_for 60 heard '^READY=1'
check "and then it is: whoever connects is served" expect_status 0 "$cytofs" member list "$work/store"
check "it has not said that it stops" bash -c "! grep -q STOPPING '$work/heard'"
kill -TERM $server
check "it ends when it is told to" wait_for 60 is_gone
wait $server
check "with status 0" [ $? = 0 ]
check "having said so" wait_for 60 heard '^STOPPING=1'
kill $listener
check "the store is whole" expect_status 0 "$cytofs" fsck "$work/store"

if command -v systemd-analyze >/dev/null; then
    mkdir "$work/units"
    sed "s#^ExecStart=cytofs#ExecStart=$cytofs#" "$unit" >"$work/units/cytofs-serve@.service"
    check "systemd takes the unit" expect_status 0 systemd-analyze verify --man=no "$work/units/cytofs-serve@lab.service"
    check "without a word" [ ! -s "$work/err" ]
else
    echo "skipped: systemd-analyze is not here"
fi
