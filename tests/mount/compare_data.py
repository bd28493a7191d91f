"""Does the same random things to the bytes of a file on the mount and of one on the host:
compare_data.py FOLDER HOST_FOLDER SEED STEPS [OTHER_FOLDER]

Reads, writes, appends, maps, truncation, preallocation, punching, copies, holes, O_DIRECT, by several descriptors at once.  The
host's file system is the oracle.  OTHER_FOLDER is a second mount of the same: now and then the file is compared there too."""
import ctypes
import errno
import mmap
import os
import random
import sys

mounted, host, seed, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
other = sys.argv[5] if len(sys.argv) > 5 else None
chance = random.Random(seed)
libc = ctypes.CDLL(None, use_errno=True)
LIMIT = 900000
NAME = "/data%d" % seed


class File:
    """One file, by several descriptors."""

    def __init__(self, path):
        self.path = path
        self.maker = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)  # who makes a file may write past the page cache
        self.plain = os.open(path, os.O_RDWR)
        self.second = os.open(path, os.O_RDWR)
        self.append = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            self.direct = os.open(path, os.O_RDWR | os.O_DIRECT)
        except OSError:
            self.direct = os.open(path, os.O_RDWR)
        self.copy_source = os.open(path + ".source", os.O_RDWR | os.O_CREAT, 0o644)

    def fallocate(self, mode, offset, count):
        if libc.fallocate(self.plain, mode, ctypes.c_int64(offset), ctypes.c_int64(count)) == 0:
            return 0
        if ctypes.get_errno() != errno.EOPNOTSUPP or not mode & 0x10:
            return ctypes.get_errno()
        size = os.fstat(self.plain).st_size  # the host cannot zero ranges: do as if
        end = offset + count if not mode & 1 else min(offset + count, size)
        if end > offset:
            os.pwrite(self.plain, bytes(end - offset), offset)
        return 0

    def write_mapped(self, offset, data, flush):
        size = os.fstat(self.plain).st_size
        if offset + len(data) > size:
            return None
        with mmap.mmap(self.second, size) as view:
            view[offset:offset + len(data)] = data
            if flush:
                view.flush()
        return None

    def read_mapped(self, offset, count):
        size = os.fstat(self.plain).st_size
        if offset >= size:
            return b""
        with mmap.mmap(self.plain, size, prot=mmap.PROT_READ) as view:
            return view[offset:offset + count]

    def write_direct(self, page, value):
        buffer = mmap.mmap(-1, 8192)
        buffer[:] = bytes([value]) * 8192
        return os.pwritev(self.direct, [buffer], page * 4096)

    def read_direct(self, page):
        buffer = mmap.mmap(-1, 65536)
        return bytes(buffer[:os.preadv(self.direct, [buffer], page * 4096)])

    def copy(self, backwards, offset_in, offset_out, count):
        """Between the file and its companion."""
        source, target = (self.plain, self.copy_source) if backwards else (self.copy_source, self.plain)
        done = 0
        while done < count:
            copied = os.copy_file_range(source, target, count - done, offset_in + done, offset_out + done)
            if not copied:
                break
            done += copied
        return done

    def whole(self, path=None):
        with open(path or self.path, "rb") as file:
            data = file.read()
        for at in range(0, len(data), 70000):  # whatever is said to be a hole is one
            try:
                found = os.lseek(self.second, at, os.SEEK_DATA)
            except OSError:
                found = len(data)
            assert not any(data[at:found]), "a hole at %d has contents" % at
        return data


files = File(mounted + NAME), File(host + NAME)


def choose():
    offset, count = chance.randrange(LIMIT), chance.choice((1, 100, 4096, 70000, 200000))
    if chance.randrange(3) == 0:
        offset -= offset % 131072
    data = bytes([chance.randrange(256)]) * count
    mode, page, value = chance.choice((0, 1, 3, 3, 0x10, 0x11)), chance.randrange(LIMIT // 4096), chance.randrange(256)
    flush, backwards, offset_in = chance.randrange(2), chance.randrange(2), chance.choice((0, 131072, chance.randrange(LIMIT)))
    return chance.choice((
        lambda f: os.pwrite(f.plain, data, offset),
        lambda f: os.pwrite(f.second, data, offset),
        lambda f: os.pwrite(f.maker, data, offset),
        lambda f: os.write(f.append, data) if os.fstat(f.plain).st_size < LIMIT else None,
        lambda f: os.pread(f.second, count, offset),
        lambda f: os.pread(f.append, count, offset),
        lambda f: f.write_mapped(offset, data, flush),
        lambda f: f.read_mapped(offset, count),
        lambda f: f.write_direct(page, value),
        lambda f: f.read_direct(page),
        lambda f: os.ftruncate(f.plain, offset),
        lambda f: f.fallocate(mode, offset, count),
        lambda f: f.copy(backwards, offset_in, offset, count),
        lambda f: os.fsync(f.plain) if flush else os.fdatasync(f.append),
        lambda f: os.fstat(f.second).st_size,
    ))


for step in range(steps):
    action = choose()
    ours, theirs = action(files[0]), action(files[1])
    if ours != theirs:
        sys.exit("seed %d, step %d: the mount gave %.100r, the host %.100r" % (seed, step, ours, theirs))
    if step % 100 == 99:
        expected = files[1].whole()
        if files[0].whole() != expected or other and files[0].whole(other + NAME) != expected:
            sys.exit("seed %d, step %d: the contents differ" % (seed, step))
