"""What a client of test_soak.py does with files and folders that are its own, and what it was promised of them (soak_journal.py)."""
import errno
import os
import random

from soak_calls import Calls
from soak_journal import ANYTHING, BEHIND, FOLDER, GONE, KEPT, SERVED, UNKNOWN, Journal, content, digest

SHARED = "datasets/shared"


class Files(Calls):
    def __init__(self, mount, state, number, seed, member):
        super().__init__(mount, state, number)
        self.random, self.journal, self.serial = random.Random(seed), Journal(self.events), 0
        # Below datasets/ and home/ new small files are written behind; below experiments/ close waits for the server.
        self.places = {f"{SHARED}/c{number}": BEHIND, f"home/{member}/c{number}": BEHIND, f"experiments/soak/c{number}": SERVED}

    def promise_of(self, path):
        return next(promise for place, promise in self.places.items() if path.startswith(place))

    def new_path(self):
        self.serial += 1
        return f"{self.random.choice(list(self.places))}/f{self.serial}"

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
            self.sync_folder(os.path.dirname(path))
            for name, _ in changes:
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
