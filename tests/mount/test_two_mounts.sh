#!/bin/bash
# Two mounts of one tree: what one changes the other sees; streams wake their readers.
. "$(dirname "$0")/mount_library.sh"

# Waits until the command succeeds; fails after $1 seconds.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || fail "not in time: $*" || return 1
        sleep 0.02
    done
}

holds() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

a_change_is_seen_by_the_other_mount() {
    echo one >"$lab/datasets/a"
    within 60 holds "$lab2/datasets/a" one
    echo another >"$lab/datasets/a" # other size, and pages are cached by now
    within 60 holds "$lab2/datasets/a" another
    echo ANOTHER >"$lab/datasets/a" # same size
    within 60 holds "$lab2/datasets/a" ANOTHER
    rm "$lab/datasets/a"
    within 60 test ! -e "$lab2/datasets/a"
    mkdir "$lab/datasets/folder"
    within 60 test -d "$lab2/datasets/folder"
}

a_change_made_while_the_other_mount_has_the_file_open_is_seen() {
    echo first >"$lab/datasets/open"
    exec 8<"$lab2/datasets/open"
    same first "$(cat <&8)"
    echo second >>"$lab/datasets/open"
    sleep 1.2
    same second "$(cat <&8)"
    exec 8<&-
}

opening_a_file_again_shows_what_was_just_appended_elsewhere() {
    local i expected=
    for i in $(seq 20); do
        echo "line $i" >>"$lab/datasets/reopened"
        expected="$expected${expected:+$'\n'}line $i"
        same "$expected" "$(cat "$lab2/datasets/reopened")"
    done
}

tail_f_follows_what_is_appended_on_the_other_mount() {
    echo begin >"$lab/datasets/log"
    tail -s 0.1 -f "$lab2/datasets/log" >"$work/tailed" 2>/dev/null &
    local tail=$! i
    within 60 grep -q begin "$work/tailed"
    for i in 1 2 3; do
        echo "line $i" >>"$lab/datasets/log"
        within 60 grep -q "line $i" "$work/tailed" || { kill $tail; return 1; }
    done
    kill $tail
    same "begin
line 1
line 2
line 3" "$(cat "$work/tailed")"
}

appenders_on_both_mounts_tear_no_line() {
    : >"$lab/datasets/appended"
    python3 - "$lab" "$lab2" <<'PYTHON'
import subprocess, sys
program = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
for i in range(1500):
    os.write(fd, (sys.argv[2] * 37 + " %d\\n" % i).encode())
"""
writers = [subprocess.Popen([sys.executable, "-c", program, mount + "/datasets/appended", letter])
           for mount, letter in zip(sys.argv[1:], "ab")]
assert all(writer.wait() == 0 for writer in writers)
lines = open(sys.argv[1] + "/datasets/appended").read().splitlines()
for letter in "ab":
    assert [l for l in lines if l.startswith(letter)] == [letter * 37 + " %d" % i for i in range(1500)]
assert len(lines) == 3000
PYTHON
}

a_blocked_reader_of_a_stream_gets_the_next_line() {
    { cat; head -n 1; } <"$lab2/jobs/events" >"$work/event" & # cat ends where there is nothing yet
    local reader=$!
    sleep 0.3
    echo "dataset: d" >"$lab/jobs/e.yaml"
    within 60 test -s "$work/event"
    wait $reader
    same "settled jobs/e.yaml 11" "$(cat "$work/event")"
}

a_blocked_reader_can_be_interrupted() {
    local status=0
    { cat; timeout -s INT 0.5 cat || status=$?; } <"$lab/jobs/events"
    same 124 $status # a cat that took no notice would be here for ever
}

poll_and_select_work_on_streams() {
    python3 - "$lab" <<'PYTHON'
import os, select, sys, threading
fd = os.open(sys.argv[1] + "/jobs/events", os.O_RDONLY | os.O_NONBLOCK)
try:
    os.read(fd, 100)
    sys.exit("an empty stream gave something")
except BlockingIOError:
    pass
assert select.select([fd], [], [], 0.2)[0] == []
poller = select.epoll()
poller.register(fd, select.EPOLLIN)
for round in range(3):
    path = "%s/jobs/poll%d.yaml" % (sys.argv[1], round)
    assert poller.poll(0) == []
    threading.Timer(0.1, lambda: open(path, "w").write("dataset: d\n")).start()
    assert poller.poll(60) == [(fd, select.EPOLLIN)]
    assert os.read(fd, 1000).decode() == "settled jobs/poll%d.yaml 11\n" % round
PYTHON
}

df_and_mount_show_the_label() {
    df "$lab" | grep -q '^cytofs-test'
    grep -q " $lab fuse.cytofs " /proc/self/mounts
}

start_server "$lab" "$lab2" || exit 1
run_tests a_change_is_seen_by_the_other_mount \
    a_change_made_while_the_other_mount_has_the_file_open_is_seen \
    opening_a_file_again_shows_what_was_just_appended_elsewhere tail_f_follows_what_is_appended_on_the_other_mount \
    appenders_on_both_mounts_tear_no_line a_blocked_reader_of_a_stream_gets_the_next_line \
    a_blocked_reader_can_be_interrupted poll_and_select_work_on_streams df_and_mount_show_the_label
finish
