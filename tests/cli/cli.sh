# What the shell tests share.  Source it with the program's path as $1.  A test is a run of `check` lines; the first that
# fails ends it, with what was seen.  Everything lives in a temporary folder that goes away, mounts included.
set -uo pipefail

cytofs=$1
work=$(mktemp -d /tmp/cytofs-cli-XXXXXX)
lab=$work/lab
export HOME=$work/home XDG_CONFIG_HOME=$work/home/.config XDG_STATE_HOME=$work/home/.state
export XDG_RUNTIME_DIR=$work/runtime # the node's own mount: its processes are told from those of other labs by it
# What a server keeps in memory between two lives: a folder of our own, so that nothing stays behind.
RUNTIME_DIRECTORY=$(mktemp -d /dev/shm/cytofs-cli-XXXXXX 2>/dev/null) || RUNTIME_DIRECTORY=$work/memory
export RUNTIME_DIRECTORY
unset CYTOFS_LAB CYTOFS_KEY CYTOFS_PASSPHRASE
mkdir -p "$HOME" "$lab" "$XDG_RUNTIME_DIR"

fail() {
    echo "FAILED: $*" >&2
    cat "$XDG_STATE_HOME"/cytofs/*.log "$work"/*/.state/cytofs/*.log 2>/dev/null | tail -n 40 >&2
    exit 1
}

# check "what should hold" command...
check() {
    local what=$1
    shift
    if ! "$@"; then fail "$what: $*"; fi
    echo "ok: $what"
}

# expect_status N command...: its output is left in $work/out and $work/err
expect_status() {
    local wanted=$1 status=0
    shift
    "$@" >"$work/out" 2>"$work/err" || status=$?
    if [ "$status" != "$wanted" ]; then
        echo "exit status $status, not $wanted: $*" >&2
        cat "$work/out" "$work/err" >&2
        return 1
    fi
}

# wait_for SECONDS command...: until it succeeds; 60 or more, so that only a test that fails waits so long
wait_for() {
    local until=$((SECONDS + $1))
    shift
    while ! "$@"; do
        if [ $SECONDS -ge $until ]; then return 1; fi
        sleep 0.2
    done
}

need_mount() {
    if [ ! -c /dev/fuse ] || ! command -v fusermount3 >/dev/null; then
        echo "skipped: a mount needs /dev/fuse and fusermount3"
        exit 77
    fi
}

is_mounted() { grep -q " $lab fuse" /proc/self/mounts; }
mount_lab() { "$cytofs" mount "$@" "$work/store" "$lab" >/dev/null; }
unmount_lab() {
    if is_mounted; then fusermount3 -u "$lab" 2>/dev/null || fusermount3 -uz "$lab"; fi
    wait_for 60 store_is_free
}
store_is_free() { ! pgrep -f "$cytofs mount.* $work/store" >/dev/null; }
state_of() { head -n 1 "$lab/jobs/$1/status" 2>/dev/null; }

clean_up() {
    unmount_lab
    pkill -KILL -f "$work/" 2>/dev/null
    grep -o " $work/[^ ]* fuse" /proc/self/mounts | cut -d' ' -f2 | while read -r left; do fusermount3 -uz "$left"; done
    rm -rf "$work" "$RUNTIME_DIRECTORY"
}
trap clean_up EXIT
