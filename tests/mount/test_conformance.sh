#!/bin/bash
# The mount behaves like a folder of the host: as root, whose mount keeps owners, and where everything is the mounter's.
. "$(dirname "$0")/mount_library.sh"
conformance=$2

it_behaves_like_the_host_where_owners_are_kept() {
    owners=yes start_server "$lab"
    mkdir -m 777 "$lab/datasets/owned"
    behaves_like_the_host "$conformance" "$lab/datasets/owned"
    stop_server
}

it_behaves_like_the_host_where_all_is_the_mounters() {
    start_server "$lab"
    mkdir "$lab/datasets/plain"
    behaves_like_the_host "$conformance" "$lab/datasets/plain" objects renames times names attributes files folders
    stop_server
}

root_alone_may_do_all_but_run_what_nobody_may_run() {
    start_server "$lab"
    mkdir -m 000 "$lab/datasets/closed"
    local program=$lab/datasets/closed/program
    printf '#!/bin/sh\necho ran\n' >"$program"
    chmod 000 "$program"
    [ -r "$program" ] && [ -w "$program" ] || fail "root may not read or write it"
    [ ! -x "$program" ] || fail "access(2) says that it may be run"
    "$program" 2>/dev/null && fail "it was run"
    chmod 010 "$program"
    [ -x "$program" ] || fail "access(2) says that it may not be run"
    same ran "$("$program")"
    cd "$lab/datasets/closed"
    echo more >>program
    cd /
    stop_server
}

owners_outlive_the_server_and_show_only_where_they_are_kept() {
    store=$top/store
    owners=yes start_server "$lab"
    echo text >"$lab/datasets/kept"
    mkfifo "$lab/datasets/pipe"
    mknod "$lab/datasets/null" c 1 3
    chown 61001:62001 "$lab/datasets/kept" "$lab/datasets/pipe" "$lab/datasets/null"
    chmod 6750 "$lab/datasets/kept"
    stop_server
    owners=yes start_server "$lab"
    same "61001 62001 6750 regular file" "$(stat -c '%u %g %a %F' "$lab/datasets/kept")"
    same "61001 62001 fifo" "$(stat -c '%u %g %F' "$lab/datasets/pipe")"
    same "61001 62001 1 3 character special file" "$(stat -c '%u %g %t %T %F' "$lab/datasets/null")"
    stop_server
    start_server "$lab"
    same "0 0 6750" "$(stat -c '%u %g %a' "$lab/datasets/kept")"
    stop_server
}

# Everything that tar, cp and rsync can carry, there and back.
programs_carry_everything_there_and_back() {
    owners=yes start_server "$lab"
    mkdir -p "$work/from/folder" "$lab/datasets/carried/cp" "$lab/datasets/carried/tar" "$work/back"
    cd "$work/from"
    echo text >file
    ln file second
    ln -s nowhere link
    mkfifo -m 640 pipe
    truncate -s 300000 folder/hole
    echo end >>folder/hole
    python3 -c 'import os; os.setxattr("file", "user.stain", b"H&E"); os.setxattr("folder", "user.scanner", b"7")' ||
        { stop_server; return 0; } # the host's folder has no attributes
    chown 61001:62001 file folder/hole
    chown -h 61003:62002 link
    chmod 4755 file
    chmod 2775 folder
    touch -d '2001-02-03 04:05:06.789012345' file folder/hole
    touch -h -d '1999-12-31 12:00:00.5' link pipe # an old time: rsync leaves one of the same second alone
    local want made
    want=$(describe "$work/from")
    cp -a "$work/from/." "$lab/datasets/carried/cp"
    tar --xattrs -C "$work/from" -cf - . | tar --xattrs --xattrs-include='*' -C "$lab/datasets/carried/tar" -xpf -
    tar --xattrs -C "$lab/datasets/carried/tar" -cf - . | tar --xattrs --xattrs-include='*' -C "$work/back" -xpf -
    if command -v rsync >/dev/null; then
        rsync -aHX "$work/from/" "$lab/datasets/carried/rsync/"
        same "" "$(rsync -aHX --itemize-changes "$work/from/" "$lab/datasets/carried/rsync/")"
    fi
    for made in "$lab"/datasets/carried/* "$work/back"; do
        [ "$want" = "$(describe "$made")" ] || fail "$made: $(diff <(echo "$want") <(describe "$made"))"
    done
    cd /
    stop_server
}

# Names, kinds, modes, owners, sizes, times, targets, link counts of files, attributes, contents.
describe() {
    (
        cd "$1"
        find . -type d -printf '%P %y %m %U %G\n' -o -printf '%P %y %m %U %G %s %T@ %l %n\n' | sort
        find . -type f -exec md5sum {} + | sort -k 2
        find . \( -type f -o -type d \) -print0 | sort -z | xargs -0 python3 -c '
import os, sys
for path in sys.argv[1:]:
    print(path, [(name, os.getxattr(path, name)) for name in sorted(os.listxattr(path)) if name.startswith("user.")])'
    )
}

if [ "$(id -u)" = 0 ]; then
    run_tests it_behaves_like_the_host_where_owners_are_kept owners_outlive_the_server_and_show_only_where_they_are_kept \
        programs_carry_everything_there_and_back root_alone_may_do_all_but_run_what_nobody_may_run
fi
run_tests it_behaves_like_the_host_where_all_is_the_mounters
finish
