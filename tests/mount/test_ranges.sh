#!/bin/bash
# What programs do to ranges of files, through the kernel: maps, holes, copies, preallocation, limits.
. "$(dirname "$0")/mount_library.sh"

# In Python, with the folder on the mount as `lab` and one on the host as `host`.
python_on_mount() {
    cat - >"$work/program.py" <<PYTHON
import ctypes, errno, fcntl, mmap, os, resource, signal, subprocess, sys
lab, host = sys.argv[1] + "/datasets/", sys.argv[2] + "/"
libc = ctypes.CDLL(None, use_errno=True)
CHUNK = 131072

def opened(path, flags=os.O_RDWR | os.O_CREAT | os.O_TRUNC):
    return os.open(path, flags, 0o644)

def fallocate(fd, mode, offset, count):
    if libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(count)) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")

def refused(with_errno, action, *arguments):
    try:
        action(*arguments)
    except OSError as error:
        assert error.errno == with_errno, error
        return
    sys.exit("should have been refused: %r" % (arguments,))

$(cat -)
PYTHON
    timeout 60 python3 "$work/program.py" "$lab" "$work"
}

a_shared_map_and_read_and_write_show_the_same_bytes() {
    python_on_mount <<'PYTHON'
fd = opened(lab + "shared")
os.ftruncate(fd, 3 * CHUNK)
view = mmap.mmap(fd, 3 * CHUNK)
view[CHUNK - 3:CHUNK + 3] = b"mapped"
view.flush()
assert os.pread(fd, 6, CHUNK - 3) == b"mapped"
os.pwrite(fd, b"written", 2 * CHUNK)
assert view[2 * CHUNK:2 * CHUNK + 7] == b"written"
view.close() # dirty pages of a map that was never flushed
view = mmap.mmap(fd, 3 * CHUNK)
view[10:14] = b"last"
view.close()
os.close(fd)
assert open(lab + "shared", "rb").read(14)[10:] == b"last"
PYTHON
}

a_private_map_is_seen_by_nobody_else() {
    python_on_mount <<'PYTHON'
open(lab + "private", "wb").write(b"original" * 1000)
fd = opened(lab + "private", os.O_RDWR)
view = mmap.mmap(fd, 8000, flags=mmap.MAP_PRIVATE)
view[:8] = b"changed!"
assert os.pread(fd, 8, 0) == b"original"
view.close()
assert open(lab + "private", "rb").read(8) == b"original"
PYTHON
}

a_file_opened_for_appending_can_be_mapped() {
    python_on_mount <<'PYTHON'
release = tuple(int(n) for n in os.uname().release.split(".")[:2])
if release < (6, 6):
    print("    (not before Linux 6.6)")
    sys.exit(0)
fd = opened(lab + "log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
os.write(fd, b"line\n" * 1000)
view = mmap.mmap(fd, 5000)
view[:4] = b"LINE"
view.flush()
os.write(fd, b"more\n")
assert os.pread(fd, 5, 0) == b"LINE\n" and os.pread(fd, 5, 5000) == b"more\n"
PYTHON
}

touching_a_map_behind_the_end_after_truncation_is_a_bus_error() {
    python_on_mount <<'PYTHON'
program = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
os.ftruncate(fd, 40960)
view = mmap.mmap(fd, 40960)
view[:] = b"x" * 40960
os.ftruncate(fd, 5000)
assert view[4999] == ord("x") and view[5000] == 0 and view[8191] == 0
os.ftruncate(fd, 40960)
assert view[5000] == 0 and view[40000] == 0
os.ftruncate(fd, 5000)
print("so far", flush=True)
view[40000]
"""
for path in (lab + "cut", host + "cut"):
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert run.stdout == "so far\n" and run.returncode == -signal.SIGBUS, (path, run)
PYTHON
}

holes_are_found_where_nothing_was_written() {
    python_on_mount <<'PYTHON'
fd = opened(lab + "holes")
os.pwrite(fd, b"x" * CHUNK, 5 * CHUNK)
os.pwrite(fd, b"y", 1 << 40)
for committed in (False, True):
    if committed:
        os.fsync(fd)
    assert os.lseek(fd, 0, os.SEEK_DATA) == 5 * CHUNK
    assert os.lseek(fd, 5 * CHUNK + 7, os.SEEK_DATA) == 5 * CHUNK + 7
    assert os.lseek(fd, 5 * CHUNK, os.SEEK_HOLE) == 6 * CHUNK
    assert os.lseek(fd, 6 * CHUNK, os.SEEK_DATA) == 1 << 40
    assert os.lseek(fd, 1 << 40, os.SEEK_HOLE) == (1 << 40) + 1
    refused(errno.ENXIO, os.lseek, fd, (1 << 40) + 1, os.SEEK_DATA)
os.pwrite(fd, b"z" * 3 * CHUNK, 0)
fallocate(fd, 3, CHUNK, CHUNK) # PUNCH_HOLE | KEEP_SIZE
assert os.lseek(fd, 0, os.SEEK_HOLE) == CHUNK and os.lseek(fd, CHUNK, os.SEEK_DATA) == 2 * CHUNK
PYTHON
    [ "$(stat -c %b "$lab/datasets/holes")" -lt 3000 ] || fail "its holes count as contents" # and cp would copy them
    cp --sparse=auto "$lab/datasets/holes" "$work/holes"
    same 1099511627777 "$(stat -c %s "$work/holes")"
    cmp -n 1000000 "$lab/datasets/holes" "$work/holes"
    same y "$(tail -c 1 "$work/holes")"
}

copies_within_the_server_are_the_same_bytes() {
    python_on_mount <<'PYTHON'
data = os.urandom(5 * CHUNK + 12345)
open(lab + "from", "wb").write(data)
source = opened(lab + "from", os.O_RDONLY)
for offset_in, offset_out, count in ((0, 0, len(data)), (CHUNK, 3 * CHUNK, 2 * CHUNK), (777, 5, 300000), (len(data) - 9, 0, 500)):
    to = opened(lab + "to")
    os.pwrite(to, b"before" * 100000, 0)
    expected = bytearray(b"before" * 100000)
    part = data[offset_in:offset_in + count]
    expected[len(expected):offset_out] = bytes(max(0, offset_out - len(expected)))
    expected[offset_out:offset_out + len(part)] = part
    done = 0
    while done < len(part):
        copied = os.copy_file_range(source, to, count - done, offset_in + done, offset_out + done)
        assert copied > 0
        done += copied
    assert os.copy_file_range(source, to, 10, len(data), 0) == 0
    os.close(to)
    assert open(lab + "to", "rb").read() == bytes(expected)
os.setxattr(lab + "from", "user.a", b"1")
PYTHON
    cp --reflink=auto "$lab/datasets/from" "$lab/datasets/copied"
    cmp "$lab/datasets/from" "$lab/datasets/copied"
}

what_cannot_be_done_is_refused_so_that_programs_fall_back() {
    python_on_mount <<'PYTHON'
fd, other = opened(lab + "refusing"), opened(lab + "other")
os.write(fd, b"x" * CHUNK * 2)
refused(errno.EOPNOTSUPP, fallocate, fd, 0x08, 0, CHUNK) # COLLAPSE_RANGE
refused(errno.EOPNOTSUPP, fallocate, fd, 0x20, 0, CHUNK) # INSERT_RANGE
refused(errno.EOPNOTSUPP, fcntl.ioctl, other, 0x40049409, fd) # FICLONE
refused(errno.EOPNOTSUPP, os.open, lab, os.O_TMPFILE | os.O_RDWR)
assert os.fstat(fd).st_size == 2 * CHUNK
PYTHON
    fails cp --reflink=always "$lab/datasets/refusing" "$lab/datasets/reflinked" 2>/dev/null
}

files_end_at_their_limits_with_EFBIG() {
    python_on_mount <<'PYTHON'
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fd = opened(lab + "limits")
limit = 1 << 44
os.truncate(lab + "limits", limit)
os.pwrite(fd, b"end", limit - 3)
refused(errno.EFBIG, os.pwrite, fd, b"x", limit)
refused(errno.EFBIG, os.ftruncate, fd, limit + 1)
assert os.pread(fd, 10, limit - 3) == b"end" and os.pread(fd, 4, limit // 2) == bytes(4)
os.ftruncate(fd, 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, resource.RLIM_INFINITY))
assert os.pwrite(fd, b"x" * 5000, 8000) == 2000
refused(errno.EFBIG, os.pwrite, fd, b"x", 10000)
PYTHON
}

direct_and_buffered_access_agree() {
    python_on_mount <<'PYTHON'
direct = opened(lab + "direct", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
buffered = opened(lab + "direct", os.O_RDWR)
page = mmap.mmap(-1, 4 * CHUNK)
page[:] = bytes(range(256)) * (4 * CHUNK // 256)
assert os.pwritev(direct, [page], 0) == 4 * CHUNK
assert os.pread(buffered, 512, CHUNK - 256) == bytes(range(256)) * 2
os.pwrite(buffered, b"buffered", CHUNK)
assert os.preadv(direct, [page], CHUNK) == 3 * CHUNK and page[:8] == b"buffered"
view = mmap.mmap(buffered, 4 * CHUNK)
view[CHUNK * 2:CHUNK * 2 + 6] = b"mapped"
view.flush()
assert os.preadv(direct, [page], CHUNK * 2) == 2 * CHUNK and page[:6] == b"mapped"
PYTHON
}

appenders_by_every_way_tear_nothing() {
    python_on_mount <<'PYTHON'
program = """
import os, sys
flags = os.O_WRONLY | os.O_APPEND | (os.O_DIRECT if sys.argv[3] == "direct" else 0)
for i in range(300):
    fd = os.open(sys.argv[1], flags) if i % 50 == 0 else fd
    os.write(fd, (sys.argv[2] * (i * 37 % 9000) + "\\n").encode())
"""
open(lab + "appended", "w").close()
writers = [subprocess.Popen([sys.executable, "-c", program, lab + "appended", letter, how])
           for letter, how in (("a", "buffered"), ("b", "buffered"), ("c", "direct"))]
assert all([writer.wait() == 0 for writer in writers])
lines = open(lab + "appended").read().splitlines()
assert len(lines) == 900
for letter in "abc":
    assert [l for l in lines if l.startswith(letter)] == [letter * (i * 37 % 9000) for i in range(300) if i * 37 % 9000]
PYTHON
}

# CYTOFS_TEST_STEPS makes it longer.
random_operations_on_bytes_do_what_they_do_on_the_host() {
    local seed
    for seed in 1 2 3; do
        timeout 3000 python3 "$here/compare_data.py" "$lab/datasets" "$work" $seed "${CYTOFS_TEST_STEPS:-1000}" "$lab2/datasets"
    done
}

start_server "$lab" "$lab2" || exit 1
run_tests random_operations_on_bytes_do_what_they_do_on_the_host a_shared_map_and_read_and_write_show_the_same_bytes a_private_map_is_seen_by_nobody_else \
    a_file_opened_for_appending_can_be_mapped touching_a_map_behind_the_end_after_truncation_is_a_bus_error \
    holes_are_found_where_nothing_was_written copies_within_the_server_are_the_same_bytes \
    what_cannot_be_done_is_refused_so_that_programs_fall_back files_end_at_their_limits_with_EFBIG \
    direct_and_buffered_access_agree appenders_by_every_way_tear_nothing
finish
