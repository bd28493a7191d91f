"""How a client of test_soak.py asks its mount for something: each call is noted, and one that fails is a broken promise unless what was done to the
lab meanwhile excuses it.  A client is what these classes make together: soak_client.py."""
import errno
import os
import time

from soak_journal import Events

AFTER_A_CRASH = (errno.EIO, errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY)  # EIO, or what is true of what was before


class Excused(Exception):
    """A call failed, and may have."""


class Calls:
    """Has `close_all`, which closes what is open of a mount that is gone."""

    def __init__(self, mount, state, number):
        self.mount, self.state, self.number, self.failures, self.done = mount, state, number, [], {}
        self.events, self.generation = Events(os.path.join(state, "events"), number), 0
        self.trace = open(os.path.join(state, f"{number}.trace"), "a", buffering=1)  # for whoever looks for what went wrong
        self.now = os.open(os.path.join(state, f"{number}.now"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def excuse(self, excused):
        self.done["excused"] = self.done.get("excused", 0) + 1
        self.trace.write(f"{time.monotonic():.3f} excused: {excused}\n")

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
            self.close_all()
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

    def sync_folder(self, folder):
        def sync():
            descriptor = os.open(self.full(folder), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self.call(f"fsync of {folder}", sync, tells=True)
