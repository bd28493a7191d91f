#!/usr/bin/python3
"""One client of test_soak.py: works in a mount, keeps a journal of what it was promised, and holds the lab to it.

    soak_client.py work MOUNT STATE NUMBER MEMBER SEED PAUSE_MS   until told to finish; then verifies all and writes STATE/NUMBER.model
    soak_client.py verify MOUNT STATE NUMBER MEMBER               what that file says, through another mount

Prints a line for each broken promise and exits 1 if there were any.  STATE/NUMBER.now says what it is doing, for a watchdog.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from soak_calls import Excused  # noqa: E402
from soak_files import SHARED  # noqa: E402
from soak_journal import KEPT  # noqa: E402
from soak_logs import Logs  # noqa: E402

FILES_MAX = 60  # of one client
FAILURES_MAX = 20


class Client(Logs):
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
