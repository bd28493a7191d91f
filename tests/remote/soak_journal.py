"""What one client was promised: for each name, what it may be found to be now.

A name's history is a list of states, the newest last; each says what is there (`what`) and how far it was promised:

    KEPT      fsync answered, or found so after a restart: it holds whatever happens
    SERVED    the server has answered, not yet fsync: holds unless the server is killed within a few seconds (like a power cut)
    BEHIND    only the workstation has answered (close of a small file): holds unless the workstation or the server is killed later
    UNKNOWN   the call failed, or nobody knows: it may hold

What is found must be one of the states from the last one that holds on.  Disturbances (kills, cuts) are told by test_soak.py in a file.
"""
import hashlib
import json
import time

KEPT, SERVED, BEHIND, UNKNOWN = "kept", "served", "behind", "unknown"
GONE, FOLDER, ANYTHING = "gone", "folder", "anything"
COMMIT_SECONDS = 10  # what was not fsynced for so long before a kill -9 of the server may be gone; it is 1 s where the machine has time


def content(seed, count):
    return hashlib.shake_128(seed.encode()).digest(count)


def digest(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


class Events:
    """What test_soak.py says has happened: lines of JSON, each with a monotonic time, a word, and the client that it is about."""

    def __init__(self, path, client):
        self.file, self.client, self.seen = open(path, "r"), client, []
        self.is_up, self.generation, self.finish = False, 0, False
        self.server_kills, self.my_kills, self.server_up = [], [], 0.0  # server_up: None while a killed one is not back

    def read(self):
        while line := self.file.readline():
            event = json.loads(line)
            word, at = event["what"], event["time"]
            if event.get("client") == self.client and word in ("down", "up"):
                self.is_up = word == "up"
                self.generation += 1
                if word == "down":
                    self.my_kills.append(at)
            elif word == "server killed":
                self.server_kills.append(at)
                self.server_up = None
            elif word == "server up":
                self.server_up = at
            elif word == "finish":
                self.finish = True

    def wait_up(self):
        self.read()
        while not self.is_up:
            time.sleep(0.05)
            self.read()

    def wait_server(self):
        """Until a server that was killed is up again."""
        self.read()
        while self.server_up is None:
            time.sleep(0.05)
            self.read()

    def excuse(self, began):
        """Why a call that began then may have failed; None: it may not."""
        self.read()
        if not self.is_up or any(kill >= began - 0.5 for kill in self.my_kills):
            return "this workstation was killed"
        if any(kill >= began - COMMIT_SECONDS for kill in self.server_kills) or self.server_up is None or \
                (self.server_kills and self.server_up > self.server_kills[-1] and began < self.server_up + COMMIT_SECONDS):
            return "the server was killed"
        return None

    def last_disturbance(self):
        return max(self.my_kills[-1:] + self.server_kills[-1:], default=0.0)


class Journal:
    def __init__(self, events):
        self.events, self.names = events, {}

    def note(self, path, what, promise):
        """The newest state of a name."""
        history = self.names.setdefault(path, [{"what": GONE, "promise": KEPT, "time": 0.0}])
        if promise == KEPT:
            history.clear()
        history.append({"what": what, "promise": promise, "time": time.monotonic()})

    def keep(self, path):
        """fsync has answered for the newest state."""
        self.note(path, self.names[path][-1]["what"], KEPT)

    def holds(self, state):
        promise, at = state["promise"], state["time"]
        if promise == KEPT:
            return True
        if promise == SERVED:
            return not any(at - 0.5 <= kill <= at + COMMIT_SECONDS for kill in self.events.server_kills)
        if promise == BEHIND:
            return self.events.last_disturbance() < at
        return False

    def allowed(self, path):
        history = self.names[path]
        last = max((i for i, state in enumerate(history) if self.holds(state)), default=0)
        return [state["what"] for state in history[last:]]

    def check(self, path, found):
        """None, or what is wrong."""
        allowed = self.allowed(path)
        partial = len(allowed) > 1 and found != GONE and found != FOLDER and any(
            what not in (GONE, FOLDER) for what in allowed[1:])  # contents that were not fsynced may be there in part
        if found in allowed or ANYTHING in allowed or partial:
            return None
        return f"{path}: found {found}, promised {' or '.join(allowed)}; history {self.names[path]}"

    def newest(self, path):
        return self.names[path][-1]["what"]

    def is_certain(self, path):
        return len(self.allowed(path)) == 1

    def existing(self, want_folder=False):
        return [path for path, history in self.names.items()
                if self.is_certain(path) and history[-1]["what"] not in (GONE, ANYTHING)
                and (history[-1]["what"] == FOLDER) == want_folder]

    def forget_gone(self):
        for path in [path for path in self.names if self.is_certain(path) and self.newest(path) == GONE]:
            del self.names[path]
