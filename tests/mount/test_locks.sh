#!/bin/bash
# Locks hold between the processes of one mount and across two mounts of one tree, and end when they should.
. "$(dirname "$0")/mount_library.sh"

# In Python, with the two mounts as sys.argv[1] and [2]; what they share comes first.
python_with_mounts() {
    cat - >"$work/program.py" <<PYTHON
import errno, fcntl, os, signal, struct, subprocess, sys, time
a, b = sys.argv[1] + "/datasets/", sys.argv[2] + "/datasets/"

def opened(path, flags=os.O_RDWR | os.O_CREAT):
    return os.open(path, flags, 0o644)

def lock(fd, start=0, length=0, kind=fcntl.LOCK_EX):
    fcntl.lockf(fd, kind, length, start)

def is_free(fd, start=0, length=0):
    try:
        lock(fd, start, length, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    lock(fd, start, length, fcntl.LOCK_UN)
    return True

def in_child(action):
    child = os.fork()
    if child:
        return child
    try:
        action()
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        os._exit(1)

def succeeded(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

def soon(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
$(cat -)
PYTHON
    timeout 100 python3 "$work/program.py" "$lab" "$lab2"
}

random_locks_do_what_they_do_on_the_host() {
    local seed
    for seed in 1 2 3; do
        python3 "$here/compare_locks.py" "$lab/datasets" "$lab2/datasets" "$work" $seed 1500
    done
}

a_blocked_process_gets_the_lock_when_the_other_mount_lets_go() {
    python_with_mounts <<'PYTHON'
held = opened(a + "blocked")
lock(held)
def wait_for_it():
    fd = opened(b + "blocked")
    lock(fd)
    os.write(fd, b"mine")
child = in_child(wait_for_it)
time.sleep(0.3)
assert os.waitpid(child, os.WNOHANG) == (0, 0)
lock(held, kind=fcntl.LOCK_UN)
assert succeeded(child)
assert open(a + "blocked").read() == "mine"
PYTHON
}

a_process_that_waits_for_a_lock_can_be_interrupted_and_killed() {
    python_with_mounts <<'PYTHON'
held = opened(a + "interrupted")
fcntl.flock(held, fcntl.LOCK_EX)
def be_interrupted():
    def refuse(*_):
        raise InterruptedError
    signal.signal(signal.SIGALRM, refuse)
    signal.alarm(1)
    try:
        fcntl.flock(opened(b + "interrupted"), fcntl.LOCK_EX)
    except InterruptedError:
        os._exit(0)
    os._exit(1)
assert succeeded(in_child(be_interrupted))
child = in_child(lambda: fcntl.flock(opened(a + "interrupted"), fcntl.LOCK_EX))
time.sleep(0.3)
os.kill(child, signal.SIGKILL)
assert not succeeded(child)
fcntl.flock(held, fcntl.LOCK_UN)
fcntl.flock(opened(b + "interrupted"), fcntl.LOCK_EX | fcntl.LOCK_NB) # neither left a lock or a wait behind
PYTHON
}

locks_of_a_killed_process_are_given_back() {
    python_with_mounts <<'PYTHON'
read_end, write_end = os.pipe()
def hold_both():
    fd = opened(a + "killed")
    reader = opened(a + "killed", os.O_RDONLY)
    lock(fd, 0, 10)
    fcntl.lockf(reader, fcntl.LOCK_SH, 10, 100)
    fcntl.flock(fd, fcntl.LOCK_EX)
    os.write(write_end, b"x")
    time.sleep(60)
child = in_child(hold_both)
os.read(read_end, 1)
fd = opened(b + "killed")
assert not is_free(fd, 0, 10) and not is_free(fd, 100, 10) and is_free(fd, 10, 90)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
soon(lambda: is_free(fd))
fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
PYTHON
}

two_that_would_wait_for_each_other_are_told() {
    python_with_mounts <<'PYTHON'
mine = opened(a + "circle")
lock(mine, 0, 1)
def is_refused(fd, start):
    try:
        lock(fd, start, 1)
        return False
    except OSError as error:
        assert error.errno == errno.EDEADLK, error
        return True
def take_the_second_then_the_first():
    fd = opened(b + "circle")
    lock(fd, 1, 1)
    os._exit(REFUSED if is_refused(fd, 0) else 0)
REFUSED = 2
child = in_child(take_the_second_then_the_first)
soon(lambda: not is_free(mine, 1, 1))
time.sleep(0.3) # by then the child waits for us; if not, it comes last and is refused itself
refused = is_refused(mine, 1)
lock(mine, 0, 2, fcntl.LOCK_UN)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (0 if refused else REFUSED)
PYTHON
}

who_has_the_lock_is_told() {
    python_with_mounts <<'PYTHON'
layout = struct.Struct("hhqqi4x")
fd = opened(a + "asked")
lock(fd, 5, 10)
def ask():
    found = layout.unpack(fcntl.fcntl(opened(b + "asked"), fcntl.F_GETLK, layout.pack(fcntl.F_RDLCK, 0, 0, 0, 0)))
    assert found == (fcntl.F_WRLCK, 0, 5, 10, os.getppid()), found
assert succeeded(in_child(ask))
PYTHON
}

locks_of_an_open_file_are_shared_by_those_who_inherit_it() {
    python_with_mounts <<'PYTHON'
F_OFD_SETLK, layout = 37, struct.Struct("hhqqi4x")
fd = opened(a + "inherited")
fcntl.fcntl(fd, F_OFD_SETLK, layout.pack(fcntl.F_WRLCK, 0, 0, 0, 0))
def use_it():
    fcntl.fcntl(fd, F_OFD_SETLK, layout.pack(fcntl.F_WRLCK, 0, 0, 0, 0)) # the same owner
    os.close(fd)
assert succeeded(in_child(use_it))
other = opened(b + "inherited")
try:
    fcntl.fcntl(other, F_OFD_SETLK, layout.pack(fcntl.F_WRLCK, 0, 0, 0, 0))
    sys.exit("the child's close took the lock away")
except BlockingIOError:
    pass
os.close(fd)
soon(lambda: is_free(other))
PYTHON
}

what_was_written_under_a_lock_is_seen_under_the_next_one() {
    python_with_mounts <<'PYTHON'
open(a + "counter", "w").write("0")
def count(path):
    fd = opened(path)
    for _ in range(150):
        fcntl.flock(fd, fcntl.LOCK_EX)
        value = int(os.pread(fd, 20, 0))
        os.pwrite(fd, b"%d" % (value + 1), 0)
        fcntl.flock(fd, fcntl.LOCK_UN)
children = [in_child(lambda path=path: count(path)) for path in (a + "counter", b + "counter", a + "counter", b + "counter")]
assert all([succeeded(child) for child in children])
assert int(open(a + "counter").read()) == 600
PYTHON
}

whoever_shares_a_lock_sees_what_was_written_under_the_last_one() {
    python3 "$here/share_locks.py" 500 "$lab/datasets/shared" "$lab2/datasets/shared"
}

unmounting_lets_go_of_the_locks_of_that_mount() {
    start_server "$lab" "$lab2"
    exec 9>"$lab/datasets/unmounted" 8>"$lab2/datasets/unmounted"
    flock 8
    fails flock -n 9
    flock -w 60 9 8>&- &
    local waiting=$!
    sleep 0.2
    unmount "$lab2"
    exec 8>&-
    wait $waiting
    exec 9>&-
    stop_server
}

start_server "$lab" "$lab2" || exit 1
run_tests random_locks_do_what_they_do_on_the_host a_blocked_process_gets_the_lock_when_the_other_mount_lets_go \
    a_process_that_waits_for_a_lock_can_be_interrupted_and_killed locks_of_a_killed_process_are_given_back \
    two_that_would_wait_for_each_other_are_told who_has_the_lock_is_told \
    locks_of_an_open_file_are_shared_by_those_who_inherit_it what_was_written_under_a_lock_is_seen_under_the_next_one \
    whoever_shares_a_lock_sees_what_was_written_under_the_last_one
stop_server || exit 1
run_tests unmounting_lets_go_of_the_locks_of_that_mount
finish
