#!/bin/bash
# The same as someone who is not root: mounting through fusermount3, and mode bits that bind.
# Started as root, it goes on as the user nobody; started as anyone else, as that user.
set -u
if [ "$(id -u)" = 0 ]; then
    command -v setpriv >/dev/null || { echo "skipped: started as root, and there is no setpriv to become another"; exit 77; }
    unshare --mount true 2>/dev/null || { echo "skipped: started as root, and there can be no mount namespace here"; exit 77; }
    # nobody must be able to reach the program and these scripts, wherever they lie, and /dev/fuse, which some containers
    # keep for root: in a mount namespace of our own another device file stands in its place.
    reach=$(mktemp -d /tmp/cytofs-user-XXXXXX)
    trap 'rm -rf "$reach"' EXIT
    cp "$1" "$2" "$(dirname "$0")"/*.sh "$(dirname "$0")/differences.txt" "$reach/"
    chmod -R a+rX "$reach"
    mknod -m 666 "$reach/fuse" c 10 229 2>/dev/null
    unshare --mount bash -c 'mount --bind "$1" /dev/fuse 2>/dev/null; shift; exec "$@"' - "$reach/fuse" \
        setpriv --reuid 65534 --regid 65534 --clear-groups env TMPDIR=/tmp HOME=/tmp \
        bash "$reach/$(basename "$0")" "$reach/$(basename "$1")" "$reach/$(basename "$2")"
    exit
fi
command -v fusermount3 >/dev/null || { echo "skipped: no fusermount3"; exit 77; }
[ -r /dev/fuse ] && [ -w /dev/fuse ] || { echo "skipped: /dev/fuse is closed to user $(id -u)"; exit 77; }
. "$(dirname "$0")/mount_library.sh"
conformance=$2

files_belong_to_who_mounted() {
    echo text >"$lab/datasets/a"
    same "$(id -u) $(id -g)" "$(stat -c '%u %g' "$lab/datasets/a")"
    same text "$(cat "$lab/datasets/a")"
}

mode_bits_bind() {
    echo text >"$lab/datasets/b"
    chmod 444 "$lab/datasets/b"
    fails sh -c "echo more >>'$lab/datasets/b'" 2>/dev/null
    fails sh -c "echo more >'$lab/README'" 2>/dev/null
    chmod 000 "$lab/datasets/b"
    fails cat "$lab/datasets/b" 2>/dev/null
    rm -f "$lab/datasets/b"
}

giving_files_away_is_refused_in_words() {
    echo text >"$lab/datasets/c"
    fails chgrp 12345 "$lab/datasets/c" 2>/dev/null
}

it_behaves_like_the_host() {
    mkdir "$lab/datasets/plain"
    behaves_like_the_host "$conformance" "$lab/datasets/plain"
}

a_dead_mount_is_replaced() {
    ls "$lab" | grep -q README
    grep -q 'was still mounted by a server that is gone' "$top/messages"
}

start_server "$lab" || exit 1
run_tests files_belong_to_who_mounted mode_bits_bind giving_files_away_is_refused_in_words it_behaves_like_the_host
kill -9 "$server"; wait "$server" 2>/dev/null
start_server "$lab" || exit 1
run_tests a_dead_mount_is_replaced
finish
