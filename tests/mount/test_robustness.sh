#!/bin/bash
# Servers that die, mountpoints that are dead or in use, files that are open at the end.
. "$(dirname "$0")/mount_library.sh"

stopping_with_open_files_unmounts_at_once() {
    start_server "$lab"
    echo text >"$lab/datasets/a"
    exec 8<"$lab/datasets/a"
    stop_server
    fails grep -q " $lab " /proc/self/mounts
    fails cat <&8 2>/dev/null # the file is gone with its server
    exec 8<&-
    same "" "$(ls -A "$lab")"
}

stopping_ends_a_blocked_reader() {
    start_server "$lab"
    bash -c 'cat; exec cat' <"$lab/jobs/events" >/dev/null 2>&1 &
    local reader=$!
    sleep 0.3
    stop_server
    for _ in $(seq 600); do kill -0 $reader 2>/dev/null || return 0; sleep 0.1; done
    kill -9 $reader
    fail "the reader still waits"
}

unmounting_from_outside_ends_the_server_with_success() {
    start_server "$lab"
    if [ "$(id -u)" = 0 ]; then umount "$lab"; else fusermount3 -u "$lab"; fi
    local status=0
    wait "$server" || status=$?
    server=
    same 0 $status
}

a_killed_server_leaves_enotconn_and_fusermount_cleans_up() {
    start_server "$lab"
    kill -9 "$server"
    wait "$server" 2>/dev/null || true
    server=
    ls "$lab" 2>&1 | grep -q 'not connected'
    fusermount3 -u "$lab"
    same "" "$(ls -A "$lab")"
}

a_dead_mount_is_replaced_and_the_log_says_so() {
    start_server "$lab"
    kill -9 "$server"
    wait "$server" 2>/dev/null || true
    start_server "$lab"
    ls "$lab" | grep -q README
    grep -q 'was still mounted by a server that is gone' "$top/messages"
    stop_server
}

refused() {
    local status=0
    "$server_program" "$log" "$1" >/dev/null 2>"$work/words" || status=$?
    [ $status != 0 ] && grep -q "$2" "$work/words"
}

a_folder_that_is_not_empty_is_refused() {
    touch "$lab2/precious"
    refused "$lab2" 'not empty'
    rm "$lab2/precious"
}

a_mountpoint_in_use_is_refused() {
    start_server "$lab"
    refused "$lab" 'mounted there already'
    stop_server
}

a_mountpoint_that_is_missing_or_a_file_is_refused() {
    refused "$top/nowhere" 'no such folder'
    touch "$top/file"
    refused "$top/file" 'Not a directory'
}

a_name_with_blanks_and_commas_can_be_mounted_on() {
    mkdir "$top/my lab, new"
    start_server "$top/my lab, new"
    ls "$top/my lab, new" | grep -q README
    stop_server
    rmdir "$top/my lab, new"
}

run_tests stopping_with_open_files_unmounts_at_once stopping_ends_a_blocked_reader \
    unmounting_from_outside_ends_the_server_with_success a_killed_server_leaves_enotconn_and_fusermount_cleans_up \
    a_dead_mount_is_replaced_and_the_log_says_so a_folder_that_is_not_empty_is_refused \
    a_mountpoint_in_use_is_refused a_mountpoint_that_is_missing_or_a_file_is_refused \
    a_name_with_blanks_and_commas_can_be_mounted_on
finish
