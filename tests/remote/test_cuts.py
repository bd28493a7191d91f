#!/usr/bin/python3
"""A stream of mkdir, rename and append, beside copies at first, while the link to the server is cut again and again at random.

    test_cuts.py BUILD [MEGABYTES [CUTS [BETWEEN_MS [SEED]]]]
        32 MB and 50 cuts, at most 200 ms from one to the next, seed 1, unless told otherwise; by hand: 1024 50 1000

Holds: the copy has the same SHA-256 at the server as at its source; each operation was done exactly once, which mkdir (a second one fails), rename
(a second one fails) and append (a second one doubles a line) would show; no call fails.  The oracle is the server's own mount.
"""
import hashlib
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from remote_lab import Lab, Proxy, need_mounts, place, wait_for  # noqa: E402

BLOCK = 1 << 20


def blocks(megabytes):
    """The same bytes each time, none of them twice."""
    for i in range(megabytes):
        yield hashlib.shake_128(b"block %d" % i).digest(BLOCK)


class Stream(threading.Thread):
    """Makes folders, renames them, appends a line for each, until told to stop."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.done, self.stopping, self.failure = folder, 0, False, None

    def run(self):
        try:
            with open(os.path.join(self.folder, "log"), "ab", buffering=0) as log:
                while not self.stopping:
                    name = os.path.join(self.folder, f"d{self.done}")
                    os.mkdir(name)
                    os.rename(name, f"{name}.renamed")
                    log.write(b"line %d\n" % self.done)
                    self.done += 1
        except OSError as failure:
            self.failure = failure


def copy(to, megabytes):
    digest = hashlib.sha256()
    with open(to, "wb", buffering=0) as file:
        for block in blocks(megabytes):
            digest.update(block)
            file.write(block)
        os.fsync(file.fileno())
    return digest.hexdigest()


def sum_of(path):
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check(holds, sentence):
    print("ok     " if holds else "FAILED ", sentence)
    return holds


def main():
    build, told = sys.argv[1], [int(word) for word in sys.argv[2:]]
    megabytes, cuts, between_ms, seed = told + [32, 50, 200, 1][len(told):]
    need_mounts()
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    with place() as folder:
        lab = Lab(build, folder)
        lab.serve()
        proxy = Proxy(build, lab.port, "--delay-ms", 1, "--seed", seed)
        station = None
        try:
            station = lab.invite("bob", proxy.port)
            station.mount()
            here = os.path.join(station.mountpoint, "datasets", "cuts")
            os.mkdir(here)
            proxy.say(f"cuts {cuts} 20 {between_ms} 20")
            stream = Stream(here)
            stream.start()
            wanted, copies = [], 0
            while copies == 0 or proxy.count()[2] < cuts // 2:
                wanted.append(copy(os.path.join(here, f"copy{copies}"), megabytes))
                copies += 1
            during = proxy.count()[2]
            wait_for("the other half of the cuts, without a copy", lambda: proxy.count()[2] >= cuts, 120 + cuts * between_ms // 1000)
            stream.stopping = True
            stream.join(300)
            up, down, cut = proxy.count()
            same_here = [sum_of(os.path.join(here, f"copy{i}")) for i in range(copies)] == wanted
            station.unmount()
            other = lab.invite("carol", proxy.port)
            other.mount()
            station = other
            there = os.path.join(other.mountpoint, "datasets", "cuts")
            names = set(os.listdir(there))
            lines = open(os.path.join(there, "log"), "rb").read()
            good = [
                check(cut >= cuts, f"the link was cut {cut} times, {during} of them during the copies"),
                check(stream.failure is None and not stream.is_alive(), f"no call failed ({stream.failure or stream.done})"),
                check(same_here, f"{copies} copies of {megabytes} MB are read back"),
                check([sum_of(os.path.join(there, f"copy{i}")) for i in range(copies)] == wanted, "another member reads the same"),
                check(names == {"log"} | {f"copy{i}" for i in range(copies)} | {f"d{i}.renamed" for i in range(stream.done)},
                      f"{stream.done} folders were made and renamed once each"),
                check(lines == b"".join(b"line %d\n" % i for i in range(stream.done)), "and as many lines appended, in order"),
            ]
            print(f"{time.monotonic() - began:.0f} s, {up} bytes to the server and {down} back by the end of the stream")
        finally:
            if station:
                station.unmount()
            proxy.stop()
            lab.stop()
        sys.exit(0 if all(good) else 1)


main()
