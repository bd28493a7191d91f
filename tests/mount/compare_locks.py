"""Random locks of several processes, spread over two mounts, against the same on the host:
compare_locks.py MOUNT OTHER_MOUNT HOST_FOLDER SEED STEPS

The host's kernel is the oracle: each attempt to lock must succeed or fail in the same way in both places."""
import errno
import fcntl
import os
import random
import struct
import subprocess
import sys

FLOCK = struct.Struct("hhqqi4x")


def worker():
    """Obeys lines on standard input: a process that holds locks on one file."""
    path = sys.argv[2]
    files = {0: os.open(path, os.O_RDWR)}
    for line in sys.stdin:
        what, *numbers = line.split()
        numbers = [int(n) for n in numbers]
        try:
            answer = "done"
            if what == "range":
                kind, start, length, slot = numbers
                fcntl.fcntl(files.setdefault(slot, files[0]), fcntl.F_SETLK,
                            FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
            elif what == "ask":
                kind, start, length = numbers
                found = FLOCK.unpack(fcntl.fcntl(files[0], fcntl.F_GETLK, FLOCK.pack(kind, os.SEEK_SET, start, length, 0)))
                answer = "free" if found[0] == fcntl.F_UNLCK else "held"
            elif what == "whole":
                operation, slot = numbers
                fcntl.flock(files.setdefault(slot, files[0]), operation | fcntl.LOCK_NB)
            elif what == "open":
                files[numbers[0]] = os.open(path, os.O_RDWR)
            elif what == "close":  # of a second descriptor: the process's locks end, of whichever descriptor
                if files.get(1, files[0]) != files[0]:
                    os.close(files.pop(1))
        except OSError as error:
            answer = errno.errorcode[error.errno]
        print(answer, flush=True)


class Process:
    def __init__(self, path):
        self.path = path
        self.start()

    def start(self):
        self.child = subprocess.Popen([sys.executable, __file__, "--worker", self.path], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(self, line):
        if line == "die":
            self.child.kill()
            self.child.wait()
            self.start()
            return "died"
        print(line, file=self.child.stdin, flush=True)
        return self.child.stdout.readline().strip()


def choose(chance):
    start, length = chance.randrange(40), chance.choice((0, 1, 2, 5, 20))
    kind = chance.choice((fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK))
    return chance.choice((
        "range %d %d %d %d" % (kind, start, length, chance.randrange(2)),
        "range %d %d %d %d" % (kind, start, length, 0),
        "ask %d %d %d" % (chance.choice((fcntl.F_RDLCK, fcntl.F_WRLCK)), start, length),
        "whole %d %d" % (chance.choice((fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_UN)), chance.randrange(2)),
        "open 1" if chance.randrange(2) else "close 1",
        "die" if chance.randrange(10) == 0 else "range %d 0 0 0" % fcntl.F_UNLCK,
    ))


def main():
    mounts, host, seed, steps = sys.argv[1:3], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    chance = random.Random(seed)
    for folder in (mounts[0], host):
        open(folder + "/locked%d" % seed, "w").close()
    ours = [Process(mounts[i % 2] + "/locked%d" % seed) for i in range(4)]
    theirs = [Process(host + "/locked%d" % seed) for _ in ours]
    seen = {}
    for step in range(steps):
        who, line = chance.randrange(4), choose(chance)
        if line == "open 1":
            for process in (ours[who], theirs[who]):
                process.do("close 1")
        answers = ours[who].do(line), theirs[who].do(line)
        if answers[0] != answers[1]:
            sys.exit("seed %d, step %d, process %d, %s: the mount said %s, the host %s" % (seed, step, who, line, *answers))
        seen[answers[0]] = seen.get(answers[0], 0) + 1
    for process in ours + theirs:
        process.child.kill()
        process.child.wait()
    assert seen.get("EAGAIN", 0) > steps / 50 and seen.get("held", 0) > steps / 100, seen


if sys.argv[1] == "--worker":
    worker()
else:
    main()
