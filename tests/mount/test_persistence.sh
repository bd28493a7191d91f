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
    sleep 10 # the promise is five, to those who get their share of the machine
    kill -9 "$server"
    wait "$server" 2>/dev/null || true
    start_server "$lab"
    same closed "$(cat "$lab/datasets/closed")"
    stop_server
}

a_kill_in_the_middle_of_writing_leaves_every_file_whole_or_not_there() {
    local round
    for round in 1 2 3; do
        start_server "$lab"
        python3 - "$lab/datasets/round$round" "$round" <<'PYTHON' 2>/dev/null &
import os, sys
os.mkdir(sys.argv[1])
for i in range(100000):
    text = b"%d " % i * (1 + i % 20000)
    fd = os.open("%s/.new" % sys.argv[1], os.O_WRONLY | os.O_CREAT)
    os.write(fd, text)
    if i % 10 == 0:
        os.fsync(fd)
    os.close(fd)
    os.rename("%s/.new" % sys.argv[1], "%s/%d" % (sys.argv[1], i))
PYTHON
        sleep "1.$((round * 3))"
        kill -9 "$server"
        wait "$server" 2>/dev/null || true
        wait
        start_server "$lab"
        python3 - "$lab/datasets/round$round" <<'PYTHON'
import os, sys
numbers = sorted(int(name) for name in os.listdir(sys.argv[1]) if name != ".new")
assert len(numbers) > 10 and numbers == list(range(len(numbers))), len(numbers)
for i in numbers:
    with open("%s/%d" % (sys.argv[1], i), "rb") as file:
        assert file.read() == b"%d " % i * (1 + i % 20000), i
PYTHON
        stop_server
    done
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
    what_was_closed_is_kept_after_five_seconds_even_when_killed \
    a_kill_in_the_middle_of_writing_leaves_every_file_whole_or_not_there the_store_holds_no_name_and_no_text
finish
