"""Does the same random things in two folders and stops where they differ: compare_with_host.py FOLDER HOST_FOLDER SEED STEPS

The host's own file system is the oracle: each step must give the same result or the same errno in both, and at the end
both must hold the same tree."""
import errno
import os
import random
import sys

mounted, host, seed, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance = random.Random(seed)
handles = []  # pairs of open files


def name():
    return "/".join(chance.choice("abcde") for _ in range(chance.choice((1, 1, 1, 2, 2, 3))))


def data():
    return bytes([chance.randrange(256)]) * chance.choice((1, 10, 4096, 5000, 70000, 300000))


def outcome(action, root, *arguments):
    try:
        return action(root, *arguments)
    except OSError as error:
        return "errno " + errno.errorcode[error.errno]


def write_file(root, path, flags, offset, content):
    fd = os.open(root + path, flags | os.O_WRONLY, 0o644)
    try:
        return os.pwrite(fd, content, offset) if not flags & os.O_APPEND else os.write(fd, content)
    finally:
        os.close(fd)


def read_file(root, path, offset, count):
    fd = os.open(root + path, os.O_RDONLY)
    try:
        return os.pread(fd, count, offset)
    finally:
        os.close(fd)


def look(root, path):
    status = os.lstat(root + path)
    kind = status.st_mode & 0o170000
    folder = kind == 0o040000
    return (kind, status.st_mode & 0o777, None if folder else (status.st_size, status.st_nlink))


def change_time(root, path, seconds):
    os.utime(root + path, (seconds, seconds), follow_symlinks=False)
    status = os.lstat(root + path)
    return (status.st_atime, status.st_mtime)


def choose():
    """One step: a function of the root, and its arguments."""
    path, other = name(), name()
    offset = chance.choice((0, 0, 1, 4095, 100000, 1000000))
    flags = chance.choice((os.O_CREAT, os.O_CREAT | os.O_TRUNC, os.O_CREAT | os.O_EXCL, os.O_APPEND, 0))
    return chance.choice((
        lambda: (write_file, path, flags, offset, data()),
        lambda: (write_file, path, flags | os.O_CREAT, offset, data()),
        lambda: (read_file, path, offset, chance.choice((1, 5000, 2000000))),
        lambda: (read_file, path, 0, 2000000),
        lambda: (look, path),
        lambda: (lambda root, p: sorted(os.listdir(root + p)), path),
        lambda: (lambda root, p: os.mkdir(root + p, 0o755), path),
        lambda: (lambda root, p: os.rmdir(root + p), path),
        lambda: (lambda root, p: os.unlink(root + p), path),
        lambda: (lambda root, p, q: os.rename(root + p, root + q), path, other),
        lambda: (lambda root, p, q: os.link(root + p, root + q, follow_symlinks=False), path, other),
        lambda: (lambda root, p, q: os.symlink(q, root + p), path, other),
        lambda: (lambda root, p: os.readlink(root + p), path),
        lambda: (lambda root, p, n: os.truncate(root + p, n), path, offset),
        lambda: (lambda root, p, mode: os.chmod(root + p, mode), path, chance.choice((0o600, 0o644, 0o755))),
        lambda: (change_time, path, chance.randrange(1, 2000000000)),
    ))()


def use_handle():
    """Files that stay open while their names change."""
    action = chance.randrange(4)
    if action == 0 and len(handles) < 8:
        path = name()
        pair = [outcome(lambda root: os.open(root + path, os.O_RDWR | os.O_CREAT, 0o644), root) for root in roots]
        if all(isinstance(fd, int) for fd in pair):
            handles.append(pair)
            return "opened", "opened"
        return tuple(pair)
    if not handles:
        return None, None
    pair = chance.choice(handles)
    content, offset = data(), chance.choice((0, 3, 50000))
    if action == 1:
        return tuple(os.pwrite(fd, content, offset) for fd in pair)
    if action == 2:
        return tuple(os.pread(fd, 400000, offset) for fd in pair)
    handles.remove(pair)
    return tuple(os.close(fd) for fd in pair)


def contents(root):
    """Everything below, as a sorted list."""
    found = []
    for folder, folders, files in os.walk(root):
        for entry in folders + files:
            path = os.path.join(folder, entry)
            relative = path[len(root):]
            text = os.readlink(path) if os.path.islink(path) else None
            if text is None and entry in files:
                with open(path, "rb") as file:
                    text = file.read()
            found.append((relative, look(root, relative), text))
    return sorted(found, key=lambda item: item[0])


roots = (mounted.rstrip("/") + "/", host.rstrip("/") + "/")
for step in range(steps):
    if chance.randrange(4) == 0:
        what, results = "open file", use_handle()
    else:
        action, *arguments = choose()
        what, results = (action.__name__, [a if not isinstance(a, bytes) else len(a) for a in arguments]), \
            tuple(outcome(action, root, *arguments) for root in roots)
    if results[0] != results[1]:
        sys.exit("seed %d, step %d, %s: the mount gave %.200r, the host %.200r" % (seed, step, what, *results))
for pair in handles:
    for fd in pair:
        os.close(fd)
assert contents(roots[0]) == contents(roots[1]), "seed %d: the trees differ at the end" % seed
