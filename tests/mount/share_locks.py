"""Processes of two mounts lock one file; whoever has a lock sees what was written last, however many share it:
share_locks.py ROUNDS PATH SAME_PATH_ELSEWHERE

What was written last stands in memory that all share and that has nothing to do with the mounts.  The file grows and shrinks.
A part that is locked by itself is written by processes of both mounts while other parts of the file are locked by others."""
import fcntl
import mmap
import os
import struct
import sys

PAGE = 4096


def whole_file(file, truth, writes):
    fcntl.lockf(file, fcntl.LOCK_EX if writes else fcntl.LOCK_SH, 64, 1 << 40)
    version, = struct.unpack_from("<Q", truth, 0)
    pages = version % 7
    seen = [os.pread(file, PAGE, page * PAGE) for page in range(8)]
    right = [struct.pack("<Q", version) * 512] * pages + [b""] * (8 - pages)
    if writes:
        version += 1
        os.pwrite(file, struct.pack("<Q", version) * 512 * (version % 7), 0)
        os.ftruncate(file, version % 7 * PAGE)
        struct.pack_into("<Q", truth, 0, version)
    fcntl.lockf(file, fcntl.LOCK_UN, 64, 1 << 40)
    return seen == right or "wrong at version %d: %s" % (version, [page[:8] for page in seen])


def own_part(file, truth, part):
    start = part * PAGE
    fcntl.lockf(file, fcntl.LOCK_EX, PAGE, start)
    version, = struct.unpack_from("<Q", truth, 8 + 8 * part)
    seen = os.pread(file, PAGE, start)
    os.pwrite(file, struct.pack("<Q", version + 1) * 512, start)
    struct.pack_into("<Q", truth, 8 + 8 * part, version + 1)
    fcntl.lockf(file, fcntl.LOCK_UN, PAGE, start)
    return seen == struct.pack("<Q", version) * 512 or "part %d wrong at version %d: %s" % (part, version, seen[:8])


def work(number, path, truth, rounds, parts):
    file = os.open(path, os.O_RDWR)
    while parts and os.fstat(file).st_size < 4 * PAGE:  # see fs/session/README.md
        pass
    for i in range(rounds):
        said = own_part(file, truth, (number // 2 + i) % 4) if parts else whole_file(file, truth, (i + number) % 4 == 0)
        if said is not True:
            sys.exit("process %d, %s, round %d: %s" % (number, path, i, said))


def begin(path, size):
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.lockf(file, fcntl.LOCK_EX)
    os.ftruncate(file, 0)
    os.ftruncate(file, size)
    os.fsync(file)
    os.close(file)


def main(rounds, paths):
    for parts in False, True:
        truth = mmap.mmap(-1, PAGE)
        begin(paths[0], 4 * PAGE if parts else 0)
        children = []
        for number in range(8):
            children.append(os.fork())
            if children[-1] == 0:
                work(number, paths[number % 2], truth, rounds, parts)
                os._exit(0)
        if any([os.waitpid(child, 0)[1] for child in children]):
            sys.exit(1)


main(int(sys.argv[1]), sys.argv[2:])
