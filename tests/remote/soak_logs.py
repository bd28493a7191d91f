"""What a client of test_soak.py does over long times and with others: a log of its own and one of all, a number under a lock, numbers that are published,
images that are read."""
import errno
import fcntl
import os
import struct
import time

from soak_calls import Excused
from soak_files import SHARED, Files
from soak_journal import content

IMAGES, IMAGE_BYTES = 40, 100_000


def image(number):
    return content(f"image {number}", IMAGE_BYTES)


class Logs(Files):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.log_file = self.walk_file = None
        self.log_lines, self.shared_lines, self.counted = 0, {}, {"done": 0, "perhaps": 0}
        self.published, self.seen, self.walked = 0, {}, 0

    def close_all(self):
        self.close_log()
        self.close_walk()

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
