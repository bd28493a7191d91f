#!/usr/bin/python3
"""One client of test_soak.py: works in a mount, keeps a journal of what it was promised, and holds the lab to it.

    soak_client.py work MOUNT STATE NUMBER MEMBER SEED PAUSE_MS   until told to finish; then verifies all and writes STATE/NUMBER.model
    soak_client.py verify MOUNT STATE NUMBER MEMBER               what that file says, through another mount

Prints a line for each broken promise and exits 1 if there were any.  STATE/NUMBER.now says what it is doing, for a watchdog.
"""
import errno
import fcntl
import json
import os
import random
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from soak_journal import (ANYTHING, BEHIND, FOLDER, GONE, KEPT, SERVED, UNKNOWN, Events, Journal, content, digest)  # noqa: E402

IMAGES, IMAGE_BYTES = 40, 100_000
FILES_MAX = 60  # of one client
FAILURES_MAX = 20
AFTER_A_CRASH = (errno.EIO, errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY)  # EIO, or what is true of what was before
SHARED = "datasets/shared"


def image(number):
    return content(f"image {number}", IMAGE_BYTES)


class Excused(Exception):
    """A call failed, and may have."""


class Client:
    def __init__(self, mount, state, number, seed, member):
        self.mount, self.state, self.number, self.random = mount, state, number, random.Random(seed)
        self.events = Events(os.path.join(state, "events"), number)
        self.journal, self.serial, self.failures, self.done = Journal(self.events), 0, [], {}
        self.generation = 0
        self.trace = open(os.path.join(state, f"{number}.trace"), "a", buffering=1)  # for whoever looks for what went wrong
        self.now = os.open(os.path.join(state, f"{number}.now"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        # Below datasets/ and home/ new small files are written behind; below experiments/ close waits for the server.
        self.places = {f"{SHARED}/c{number}": BEHIND, f"home/{member}/c{number}": BEHIND, f"experiments/soak/c{number}": SERVED}
        self.log_file = self.walk_file = None
        self.log_lines, self.log_uncertain, self.shared_lines, self.counted = 0, [], {}, {"done": 0, "perhaps": 0}
        self.published, self.seen, self.walked, self.read_log_at = 0, {}, 0, 0.0

    def excuse(self, excused):
        self.done["excused"] = self.done.get("excused", 0) + 1
        self.trace.write(f"{time.monotonic():.3f} excused: {excused}\n")

    # Calls -------------------------------------------------------------------------------------------------------------------

    def full(self, path):
        return os.path.join(self.mount, path)

    def fail(self, text):
        self.failures.append(text)
        print(f"client {self.number}: {text}", flush=True)

    def doing(self, text):
        os.pwrite(self.now, f"{time.monotonic():.3f} {text}\n".encode().ljust(200), 0)

    def call(self, text, function, expected=(), tells=False):
        """The call's result; Excused where it failed and may have; an errno of `expected` is returned as the OSError.
        tells: it is among those that tell, whenever they are called, what a kill of the server may have taken: fsync, and close after writing."""
        self.events.wait_up()
        if self.events.generation != self.generation:  # what is open is of a mount that is gone
            self.generation = self.events.generation
            self.close_log()
            self.close_walk()
            raise Excused(f"{text}: not asked: the mount is another")
        generation, began = self.events.generation, time.monotonic()
        self.doing(text)
        try:
            result, failure = function(), None
        except OSError as caught:
            result, failure = None, caught
        self.doing(f"after {text}")
        self.trace.write(f"{began:.3f} {time.monotonic() - began:.3f} {text}{f': {failure}' if failure else ''}\n")
        self.events.read()
        if self.events.generation != generation:
            raise Excused(f"{text}: {failure or 'answered'}: another mount, or none, may have answered")
        if failure is None:
            return result
        if failure.errno in expected:
            return failure
        excuse = self.events.excuse(began)
        if not excuse and tells and failure.errno == errno.EIO and self.events.server_kills:
            excuse = "what a kill of the server may have taken is told"
        if not excuse or failure.errno not in AFTER_A_CRASH:
            self.fail(f"{text}: {failure.strerror} after {time.monotonic() - began:.1f} s, {excuse or 'and nothing had happened'}; "
                      f"{self.last_error()}")
        raise Excused(f"{text}: {failure.strerror}: {excuse}")

    def last_error(self):
        try:
            with open(self.full("lab/last-error")) as file:
                return file.read().strip()
        except OSError as failure:
            return f"lab/last-error: {failure.strerror}"

    def promise_of(self, path):
        return next(promise for place, promise in self.places.items() if path.startswith(place))

    def new_path(self):
        self.serial += 1
        return f"{self.random.choice(list(self.places))}/f{self.serial}"

    # Files -------------------------------------------------------------------------------------------------------------------

    def write_file(self, path, data, sync):
        with open(self.full(path), "wb", buffering=0) as file:
            at = 0
            while at < len(data):
                at += file.write(data[at:at + 65536])
            if sync:
                os.fsync(file.fileno())

    def create(self, count=None, sync=None):
        path = self.new_path()
        data = content(path, count or self.random.choice([1, 300, 5000, 40_000, 150_000]))
        sync = self.random.random() < 0.5 if sync is None else sync
        self.journal.note(path, digest(data), UNKNOWN)
        self.journal.note(path, ANYTHING, UNKNOWN)
        self.call(f"creating {path}", lambda: self.write_file(path, data, sync), tells=True)
        self.journal.names[path].pop()
        self.journal.note(path, digest(data), KEPT if sync else self.promise_of(path))

    def create_large(self):
        self.create(self.random.choice([1_500_000, 3_000_000]), True)

    def overwrite(self):
        paths = self.journal.existing()
        if not paths:
            return
        path = self.random.choice(paths)
        self.serial += 1
        data = content(f"{path} {self.serial}", 20_000)
        self.journal.note(path, ANYTHING, UNKNOWN)
        self.call(f"writing {path} anew", lambda: self.write_file(path, data, True), tells=True)
        self.journal.note(path, digest(data), KEPT)

    def look(self, path, sync=False):
        """What is at a path now."""
        def read():
            try:
                with open(self.full(path), "rb", buffering=0) as file:
                    if sync:
                        os.fsync(file.fileno())
                    parts = []
                    while part := file.read(1 << 20):
                        parts.append(part)
                    return digest(b"".join(parts))
            except IsADirectoryError:
                return FOLDER
        found = self.call(f"reading {path}", read, (errno.ENOENT,), tells=sync)
        return GONE if isinstance(found, OSError) else found

    def check(self, path, sync=False):
        found = self.look(path, sync)
        wrong = self.journal.check(path, found)
        if wrong:
            self.fail(wrong)
        return found

    def read_back(self):
        if self.journal.names:
            self.check(self.random.choice(list(self.journal.names)))

    def change_name(self, text, function, path, what, more=()):
        """A change of names, which the server answers; `more`: what else becomes what."""
        changes = [(path, what), *more]
        for name, new in changes:
            self.journal.note(name, new, UNKNOWN)
        self.call(f"{text} {path}", function)
        for name, new in changes:
            self.journal.names[name].pop()
            self.journal.note(name, new, SERVED)
        if self.random.random() < 0.3:
            self.sync_folder(os.path.dirname(path), [name for name, _ in changes])

    def sync_folder(self, folder, names=()):
        def sync():
            descriptor = os.open(self.full(folder), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self.call(f"fsync of {folder}", sync, tells=True)
        for name in names:
            self.journal.keep(name)

    def unlink(self, fewer_than=0):
        paths = self.journal.existing()
        if len(paths) > fewer_than:
            path = self.random.choice(paths)
            self.change_name("unlinking", lambda: os.unlink(self.full(path)), path, GONE)

    def rename(self):
        paths = self.journal.existing()
        if not paths:
            return
        path = self.random.choice(paths)
        to = f"{os.path.dirname(path)}/r{self.serial}"
        self.serial += 1
        self.journal.note(to, GONE, KEPT)
        self.change_name("renaming", lambda: os.rename(self.full(path), self.full(to)), path, GONE,
                         [(to, self.journal.newest(path))])

    def mkdir(self):
        path = self.new_path()
        self.change_name("mkdir", lambda: os.mkdir(self.full(path)), path, FOLDER)

    def rmdir(self):
        paths = self.journal.existing(want_folder=True)
        if paths:
            path = self.random.choice(paths)
            self.change_name("rmdir", lambda: os.rmdir(self.full(path)), path, GONE)

    # Logs ------------------------------------------------------------------------------------------------------------------------

    def append_own(self):
        """Through a descriptor that stays open over cuts and restarts."""
        path = f"{SHARED}/c{self.number}/log"
        line = b"%08d of client %d\n" % (self.log_lines, self.number)
        try:
            if self.log_file is None:
                self.recover_log(path)
                line = b"%08d of client %d\n" % (self.log_lines, self.number)
            log_file = self.log_file
            self.call(f"appending to {path}", lambda: (os.write(log_file, line), os.fsync(log_file)), tells=True)
            self.log_lines += 1
        except Excused:
            self.close_log()
            raise

    def close_log(self):
        if self.log_file is not None:
            try:
                os.close(self.log_file)
            except OSError:
                pass
            self.log_file = None

    def recover_log(self, path):
        """Each line that was acknowledged is there once, in order; one more may be."""
        def read():
            with open(self.full(path), "ab"):
                pass
            with open(self.full(path), "rb") as file:
                return file.read()
        lines = self.call(f"reading {path}", read, tells=True).splitlines(keepends=True)
        wanted = [b"%08d of client %d\n" % (i, self.number) for i in range(len(lines))]
        if lines != wanted or not self.log_lines <= len(lines) <= self.log_lines + 1:
            self.fail(f"{path}: {len(lines)} lines, {self.log_lines} were acknowledged, in order: {lines == wanted}")
        self.log_lines = len(lines)
        self.log_file = self.call(f"opening {path}", lambda: os.open(self.full(path), os.O_WRONLY | os.O_APPEND))

    def append_shared(self):
        """To a log that all clients append to at once."""
        self.serial += 1
        line = f"client {self.number} line {self.serial}"
        self.shared_lines[line] = "perhaps"

        def append():
            descriptor = os.open(self.full(f"{SHARED}/log"), os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, (line + "\n").encode())
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self.call("appending to the shared log", append, tells=True)
        self.shared_lines[line] = "done"

    # With others ---------------------------------------------------------------------------------------------------------------

    def count(self):
        """Adds one to a number in a file under a lock that holds over machines."""
        def add():
            descriptor = os.open(self.full(f"{SHARED}/counter"), os.O_RDWR)
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX)
                self.doing("counting, with the lock")
                number, = struct.unpack("<Q", os.pread(descriptor, 8, 0))
                os.pwrite(descriptor, struct.pack("<Q", number + 1), 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self.counted["perhaps"] += 1
        self.call("counting under a lock", add, tells=True)
        self.counted["perhaps"] -= 1
        self.counted["done"] += 1

    def publish(self):
        """A new number, by the usual way: a new file, fsync, rename over the old one."""
        path = f"{SHARED}/board/c{self.number}"

        def write():
            with open(self.full(path + ".new"), "w") as file:
                file.write(f"{self.published + 1}\n")
                file.flush()
                os.fsync(file.fileno())
            os.rename(self.full(path + ".new"), self.full(path))
        self.published += 1
        self.call(f"publishing {path}", write, tells=True)
        self.sync_folder(f"{SHARED}/board")

    def observe(self):
        """What others publish never goes back, but over a kill of the server, by what was not fsynced."""
        other = self.random.randrange(10)

        def read():
            with open(self.full(f"{SHARED}/board/c{other}")) as file:
                return int(file.read() or -1)
        found = self.call(f"reading c{other}'s number", read, (errno.ENOENT,))
        if isinstance(found, OSError):
            return
        before, at = self.seen.get(other, (0, 0.0))
        if found < before and not any(kill >= at - 1 for kill in self.events.server_kills):
            self.fail(f"{SHARED}/board/c{other} went back from {before} to {found}")
        self.seen[other] = (found, time.monotonic())

    def scan(self):
        def names():
            with os.scandir(self.full("datasets/images")) as entries:
                return sorted((entry.name, entry.stat().st_size) for entry in entries)
        if self.call("scanning the images", names) != sorted((f"{i}.bin", IMAGE_BYTES) for i in range(IMAGES)):
            self.fail("the images' folder shows something else")

    def read_image(self):
        number = self.random.randrange(IMAGES)

        def read():
            with open(self.full(f"datasets/images/{number}.bin"), "rb") as file:
                return file.read()
        if self.call(f"reading image {number}", read) != image(number):
            self.fail(f"image {number} has other contents")

    def walk(self):
        """Reads on from where it was, through one descriptor, over cuts and restarts."""
        try:
            if self.walk_file is None:
                self.walk_file = self.call("opening image 0", lambda: os.open(self.full("datasets/images/0.bin"), os.O_RDONLY))
                self.walked = 0
            walk_file = self.walk_file
            part = self.call("reading on in image 0", lambda: os.read(walk_file, 4321))
        except Excused:
            self.close_walk()
            raise
        if part != image(0)[self.walked:self.walked + 4321]:
            self.fail(f"image 0 read on at {self.walked}: other contents")
        self.walked += len(part)
        if not part:
            self.close_walk()

    def close_walk(self):
        if self.walk_file is not None:
            os.close(self.walk_file)
            self.walk_file = None

    # All of it --------------------------------------------------------------------------------------------------------------------

    def prepare(self):
        """The client's own folders.  Only their last part is made: without the mount, that fails."""
        def make(place):
            if not os.path.isdir(self.full(place)):
                os.mkdir(self.full(place))
        for place in self.places:
            while True:
                try:
                    self.call(f"making {place}", lambda place=place: make(place))
                    self.sync_folder(os.path.dirname(place))
                    break
                except Excused:
                    pass

    def settle(self):
        """After a kill: all names are what they may be; from now on they are what they are.  fsync of the folders comes first: while the server
        is away, the workstation shows what it knew, and what a server that is back shows it may lose in a second kill."""
        self.events.wait_server()
        for place in self.places:
            self.sync_folder(place)
        for path in list(self.journal.names):
            self.journal.note(path, self.check(path, True), KEPT)
        self.journal.forget_gone()

    def work(self, pause_s):
        self.events.wait_up()
        self.generation = self.events.generation
        self.prepare()
        settled = time.monotonic()
        choices = [(self.create, 20), (self.create_large, 2), (self.overwrite, 4), (self.read_back, 15), (self.append_own, 10),
                   (self.append_shared, 4), (self.rename, 8), (self.mkdir, 5), (self.rmdir, 4), (self.unlink, 8), (self.count, 4),
                   (self.publish, 3), (self.observe, 5), (self.scan, 3), (self.read_image, 12), (self.walk, 5)]
        functions, weights = zip(*choices)
        while not self.events.finish:
            function = self.random.choices(functions, weights)[0]
            try:
                if self.events.last_disturbance() > settled:
                    self.events.wait_up()
                    began = time.monotonic()
                    self.settle()
                    settled = began
                if len(self.journal.names) > FILES_MAX:
                    self.unlink()
                    self.rmdir()
                function()
                self.done[function.__name__] = self.done.get(function.__name__, 0) + 1
            except Excused as excused:
                self.excuse(excused)
            if len(self.failures) > FAILURES_MAX:
                break
            time.sleep(self.random.random() * 2 * pause_s)
            self.events.read()
        while len(self.failures) <= FAILURES_MAX:
            try:
                self.settle()
                break
            except Excused as excused:
                self.excuse(excused)
        self.finish()

    def finish(self):
        model = {"names": {path: self.journal.newest(path) for path in self.journal.names}, "log": self.log_lines,
                 "shared": self.shared_lines, "counted": self.counted, "published": self.published, "done": self.done,
                 "places": list(self.places)}
        with open(os.path.join(self.state, f"{self.number}.model"), "w") as file:
            json.dump(model, file)

    def verify(self, model):
        self.events.wait_up()
        self.generation = self.events.generation
        for path, what in model["names"].items():
            found = self.look(path)
            if found != what:
                self.fail(f"{path}: found {found}, promised {what}")
        for place in model["places"]:
            names = set(os.listdir(self.full(place))) - {"log"}
            wanted = {os.path.basename(path) for path in model["names"] if os.path.dirname(path) == place}
            if names != wanted:
                self.fail(f"{place}: {sorted(names - wanted)} too many, {sorted(wanted - names)} missing")
        self.log_lines = model["log"]
        self.recover_log(f"{SHARED}/c{self.number}/log")


def main():
    mode, mount, state, number, member = sys.argv[1:6]
    client = Client(mount, state, int(number), (sys.argv[6:] or ["0"])[0], member)
    try:
        if mode == "work":
            client.work(int(sys.argv[7]) / 1000)
        else:
            with open(os.path.join(state, f"{number}.model")) as file:
                client.verify(json.load(file))
    except Excused as excused:
        client.fail(f"while verifying: {excused}")
    sys.exit(1 if client.failures else 0)


if __name__ == "__main__":
    main()
