#!/bin/bash
# What was written is there after an unmount, and what was synced after a kill; the store shows nothing of it.
. "$(dirname "$0")/mount_library.sh"

store=$top/store

files_folders_links_and_attributes_survive_a_remount() {
    start_server "$lab"
    mkdir -p "$lab/datasets/d/inner"
    head -c 3000000 /dev/urandom >"$work/random"
    cp "$work/random" "$lab/datasets/d/random"
    echo text >"$lab/datasets/d/inner/text"
    chmod 600 "$lab/datasets/d/inner/text"
    touch -d '2011-12-13 14:15:16.123456789' "$lab/datasets/d/inner/text"
    ln -s inner/text "$lab/datasets/d/link"
    ln "$lab/datasets/d/inner/text" "$lab/datasets/d/hard"
    python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.stain", b"DAPI")' "$lab/datasets/d/random"
    find "$lab/datasets" -printf '%P %y %m %s %T@ %l\n' | sort >"$work/before"
    stop_server
    start_server "$lab"
    cmp "$work/random" "$lab/datasets/d/random"
    same text "$(cat "$lab/datasets/d/link")"
    same 2 "$(stat -c %h "$lab/datasets/d/hard")"
    same DAPI "$(python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.stain").decode())' "$lab/datasets/d/random")"
    find "$lab/datasets" -printf '%P %y %m %s %T@ %l\n' | sort | diff "$work/before" -
    stop_server
}

what_was_synced_survives_a_kill() {
    start_server "$lab"
    python3 - "$lab/datasets/synced" <<'PYTHON'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.write(fd, b"acknowledged" * 10000)
os.fsync(fd)
PYTHON
    kill -9 "$server"
    wait "$server" 2>/dev/null || true
    start_server "$lab"
    same 120000 "$(stat -c %s "$lab/datasets/synced")"
    same acknowledged "$(tail -c 12 "$lab/datasets/synced")"
    stop_server
}

what_was_closed_is_kept_after_five_seconds_even_when_killed() {
    start_server "$lab"
    echo closed >"$lab/datasets/closed"
    sleep 5
    kill -9 "$server"
    wait "$server" 2>/dev/null || true
    start_server "$lab"
    same closed "$(cat "$lab/datasets/closed")"
    stop_server
}

the_store_holds_no_name_and_no_text() {
    start_server "$lab"
    mkdir "$lab/datasets/very-secret-name"
    for i in $(seq 200); do echo "confidential-words $i"; done >"$lab/datasets/very-secret-name/patients.txt"
    sync -f "$lab/datasets/very-secret-name/patients.txt"
    stop_server
    fails grep -rqaE 'very-secret-name|confidential-words|patients' "$store"
}

run_tests files_folders_links_and_attributes_survive_a_remount what_was_synced_survives_a_kill \
    what_was_closed_is_kept_after_five_seconds_even_when_killed the_store_holds_no_name_and_no_text
finish
