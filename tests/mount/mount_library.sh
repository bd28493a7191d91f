# What the mount tests share.  Source it with the path of mount_server as the script's first argument; then:
#
#   $lab, $lab2    two mounts of one fresh tree        $work   a folder outside of them
#   $log           one line per event of the watched jobs/*.yaml
#
# A test is a function whose name is a sentence; run_tests runs the named ones, each in a subshell with set -e.
# Exit status 77 means: cannot run here (the reason is printed).

set -u
PATH=/usr/bin:$PATH # the python with the distribution's packages
server_program=${1:?usage: $0 MOUNT_SERVER}
here=$(cd "$(dirname "$0")" && pwd)

skip() { echo "skipped: $*"; exit 77; }

[ -e /dev/fuse ] || skip "there is no /dev/fuse"
[ "$(id -u)" = 0 ] || command -v fusermount3 >/dev/null || skip "neither root nor fusermount3"

top=$(mktemp -d "${TMPDIR:-/tmp}/cytofs-mount-XXXXXX")
lab=$top/lab lab2=$top/lab2 work=$top/work log=$top/log
mkdir "$lab" "$lab2" "$work"
server=

unmount() { fusermount3 -u -z "$1" 2>/dev/null || umount -l "$1" 2>/dev/null; true; }

# Starts the server on the given mountpoints and waits until it is ready.
start_server() {
    : >>"$log"
    rm -f "$top/ready"
    mkfifo "$top/ready"
    "$server_program" ${store:+--store "$store"} ${owners:+--owners} "$log" "$@" >"$top/ready" 2>"$top/messages" &
    server=$!
    echo $server >"$top/server"
    local line=
    read -r -t 60 line <"$top/ready" || true
    [ "$line" = ready ] || { echo "the server did not start:"; cat "$top/messages"; return 1; }
}

stop_server() {
    [ -n "$server" ] || return 0
    local status=0
    kill "$server" 2>/dev/null || true
    wait "$server" || status=$?
    server=
    [ $status = 0 ] || { echo "the server ended with $status:"; cat "$top/messages"; }
    return $status
}

clean_up() {
    [ -n "$server" ] && kill -9 "$server" 2>/dev/null && wait "$server" 2>/dev/null
    local folder
    for folder in "$top"/*/; do unmount "$folder"; done
    rm -rf --one-file-system "$top" 2>/dev/null
}
trap clean_up EXIT

fail() { echo "    $*"; return 1; }

# A folder of the host, on a file system that has all that is compared; empty where there is none.
host_folder() {
    local folder
    for folder in /dev/shm "${TMPDIR:-/tmp}"; do
        folder=$(mktemp -d "$folder/cytofs-host-XXXXXX" 2>/dev/null) || continue
        python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.a", b"")' "$folder" 2>/dev/null && { echo "$folder"; return; }
        rmdir "$folder"
    done
}

# behaves_like_the_host PROGRAM FOLDER [GROUP ...]: what the conformance program (conformance/) says of the folder is what it
# says of one of the host, but for the differences that differences.txt allows.
behaves_like_the_host() {
    local program=$1 folder=$2 host
    shift 2
    host=$(host_folder)
    [ -n "$host" ] || { echo "    (no folder of the host has extended attributes: nothing to compare with)"; return 0; }
    "$program" "$host" "$@" >"$work/host.txt" || return
    rmdir "$host"
    "$program" "$folder" "$@" >"$work/lab.txt" || return
    diff "$work/host.txt" "$work/lab.txt" | grep '^[<>]' |
        grep -vEf <(grep -v '^#' "$here"/differences.txt) >"$work/differences" || return 0
    fail "differs from the host (<: the host, >: the lab): $(head -20 "$work/differences")"
}

# The command must not succeed.  (set -e takes no notice of "! command".)
fails() { if "$@"; then fail "should not have succeeded: $*"; fi; }

same() { [ "$1" = "$2" ] || fail "expected \"$1\", found \"$2\""; }

# The log holds exactly these lines, and stays so for a moment.  RELEASE comes after close(2) has returned.
expect_events() {
    local expected=$1 tries=0
    until [ "$(cat "$log")" = "$expected" ] || [ $((tries += 1)) -gt 1200 ]; do sleep 0.05; done
    sleep 0.15
    [ "$(cat "$log")" = "$expected" ] || fail "expected events \"$expected\", found \"$(cat "$log")\""
}

# Between tests that start servers of their own: nothing of a failed one stays behind.
kill_leftovers() {
    [ -z "$server" ] && [ -s "$top/server" ] && kill -9 "$(cat "$top/server")" 2>/dev/null
    unmount "$lab"; unmount "$lab2"
}

failures=0 count=0
run_tests() {
    local name started
    for name in "$@"; do
        : >"$log"
        started=$(date +%s%N)
        count=$((count + 1))
        (set -e; "$name") # not as a condition: that would switch set -e off
        if [ $? = 0 ]; then
            printf 'ok      %s (%d ms)\n' "${name//_/ }" $((($(date +%s%N) - started) / 1000000))
        else
            printf 'FAILED  %s\n' "${name//_/ }"
            failures=$((failures + 1))
            [ -n "$server" ] || kill_leftovers
        fi
    done
}

finish() {
    stop_server || failures=$((failures + 1))
    echo "$count tests, $failures failed"
    [ $failures = 0 ]
    exit
}
