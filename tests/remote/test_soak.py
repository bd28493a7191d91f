#!/usr/bin/python3
"""Ten workstations work in one served lab at once while they are killed, the network is cut and the server is restarted.

    test_soak.py BUILD [SECONDS [SEED [REPORT_FOLDER]]]        12 seconds unless told otherwise; 1800 by hand

Holds (soak_client.py and what it imports): nothing that was acknowledged is lost, done twice or done half; no call fails without a reason; no client
waits for ever; the server's and the workstations' memory stays flat; the store is whole at the end.

Each client is a process of its own; this one never opens anything in a mount.  It kills and restarts what they depend on: whoever has a file open in
a mount cannot start the server, since closing the file waits for the server.
"""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
sys.path.insert(0, HERE)
from remote_lab import Lab, Proxy, need_mounts, place, wait_for  # noqa: E402
from soak_logs import IMAGES, image  # noqa: E402

MEMBERS = ["ann", "bob", "carol", "dave"]
CLIENTS = 10
WEDGED_SECONDS = 120  # no call takes so long, also on a machine with more to do than it can
SAMPLE_SECONDS = 2
LINES_SHOWN = 10  # of what each client says
GROWTH_MAX = 0.15  # of its memory, over the second half of a process that lived for ten minutes: what an allocator goes up and down by is 0.1


class Memory:
    """The resident memory of processes, over time."""

    def __init__(self):
        self.samples, self.due = {}, 0.0

    def sample(self, processes):
        now = time.monotonic()
        if now < self.due:
            return
        self.due = now + SAMPLE_SECONDS
        for name, pid in processes.items():
            try:
                with open(f"/proc/{pid}/status") as file:
                    kib = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
            except (OSError, StopIteration):
                continue
            self.samples.setdefault((name, pid), []).append((now, kib))

    @staticmethod
    def slope(samples):
        """KiB a minute, by least squares."""
        middle_at = sum(at for at, _ in samples) / len(samples)
        middle = sum(kib for _, kib in samples) / len(samples)
        spread = sum((at - middle_at) ** 2 for at, _ in samples)
        return 60 * sum((at - middle_at) * (kib - middle) for at, kib in samples) / spread if spread else 0.0

    def save(self, path):
        with open(path, "w") as file:
            file.write("time,process,pid,kib\n")
            file.writelines(f"{at:.1f},{name},{pid},{kib}\n" for (name, pid), samples in self.samples.items() for at, kib in samples)

    def report(self):
        """The lines, and whether all is flat."""
        flat, lines = True, []
        for (name, pid), samples in self.samples.items():
            minutes = (samples[-1][0] - samples[0][0]) / 60
            if minutes < 2 and not name.startswith("server"):
                continue
            late = samples[len(samples) // 2:]
            slope = self.slope(late)
            growth = slope * (late[-1][0] - late[0][0]) / 60 / samples[-1][1]
            lines.append(f"{name} ({pid}): {minutes:.1f} min, {samples[0][1]} KiB at first, {max(kib for _, kib in samples)} at most, "
                         f"{samples[-1][1]} at last, {slope:+.0f} KiB a minute in the second half, {100 * growth:+.0f} % in it")
            flat = flat and (minutes < 9.9 or growth < GROWTH_MAX)
        return lines, flat


class Soak:
    def __init__(self, build, folder, report, seconds, seed):
        self.lab, self.report, self.seconds, self.random = Lab(build, folder), report, seconds, random.Random(seed)
        self.seed, self.memory, self.stations, self.clients, self.proxies = seed, Memory(), [], [], {}
        self.events, self.counts, self.wedged = open(os.path.join(report, "events"), "a"), {}, False

    def tell(self, what, client=None):
        """To the clients, and for the report."""
        self.events.write(json.dumps({"time": time.monotonic(), "what": what, "client": client}) + "\n")
        self.events.flush()
        self.counts[what] = self.counts.get(what, 0) + 1

    # Setting the scene -----------------------------------------------------------------------------------------------------------

    def begin(self):
        self.lab.serve()
        for member in MEMBERS:
            self.proxies[member] = Proxy(self.lab.build, self.lab.port, "--delay-ms", 2, "--seed", self.seed)
        first = {member: self.lab.invite(member, self.proxies[member].port, "steward") for member in MEMBERS}
        for number in range(CLIENTS):
            member = MEMBERS[number % len(MEMBERS)]
            self.stations.append(first[member] if number < len(MEMBERS) else first[member].another(f"{member}{number}"))
        self.stations[0].mount()
        self.furnish(self.stations[0].mountpoint)
        for number, station in enumerate(self.stations):
            if number:
                station.mount()
            self.tell("up", number)
            self.start_client(number)

    def furnish(self, mountpoint):
        """By a process of its own, like all that is done in a mount."""
        lines = ["import os, sys", f"sys.path.insert(0, {HERE!r})", "from soak_logs import image",
                 f"os.chdir({mountpoint!r})", "os.makedirs('datasets/images')", "os.makedirs('datasets/shared/board')",
                 "os.makedirs('experiments/soak')", "open('datasets/shared/log', 'w').close()",
                 "open('datasets/shared/counter', 'wb').write(bytes(8))",
                 f"[open(f'datasets/images/{{i}}.bin', 'wb').write(image(i)) for i in range({IMAGES})]", "os.sync()"]
        subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, timeout=120)

    def run_client(self, mode, number, *more):
        log = open(os.path.join(self.report, f"{number}.log"), "a")
        client = subprocess.Popen([sys.executable, os.path.join(HERE, "soak_client.py"), mode, self.stations[number].mountpoint, self.report,
                                   str(number), self.stations[number].person, *map(str, more)],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        return client

    def start_client(self, number):
        open(os.path.join(self.report, f"{number}.now"), "w").close()
        self.clients.append(self.run_client("work", number, self.seed * 100 + number, 50))

    # What goes wrong ---------------------------------------------------------------------------------------------------------------

    def kill_station(self):
        number = self.random.randrange(CLIENTS)
        station = self.stations[number]
        self.tell("down", number)
        station.kill()
        self.proxies[station.person].say("cut")  # what it had sent and a frozen network still holds would be carried out after it is back
        time.sleep(self.random.random())
        self.stations[number].mount()
        self.tell("up", number)

    def cut(self):
        proxy = self.proxies[self.random.choice(MEMBERS)]
        what = self.random.choice(["cut", "cut", f"freeze {self.random.randrange(100, 3000)}", f"refuse {self.random.randrange(100, 3000)}"])
        proxy.say(what)
        if what.startswith("refuse"):
            proxy.say("cut")
        self.tell("cut")

    def restart_server(self, how):
        self.tell("server stops" if how == signal.SIGTERM else "server killed")
        self.lab.stop(how)
        time.sleep(self.random.random())
        self.lab.serve()
        self.tell("server up")

    def disturb(self):
        begin = time.monotonic()
        end = begin + self.seconds
        restarts = [(begin + self.seconds / 3, signal.SIGTERM), (begin + self.seconds * 2 / 3, signal.SIGKILL)]
        kills_apart, cuts_apart = max(3.0, self.seconds / 60), max(1.0, self.seconds / 300)
        next_kill, next_cut = begin + kills_apart, begin + cuts_apart
        while time.monotonic() < end and not self.wedged:
            now = time.monotonic()
            if restarts and now >= restarts[0][0]:
                self.restart_server(restarts.pop(0)[1])
            elif now >= next_kill:
                self.kill_station()
                next_kill = now + self.random.uniform(0.5, 1.5) * kills_apart
            elif now >= next_cut:
                self.cut()
                next_cut = now + self.random.uniform(0.2, 1.8) * cuts_apart
            self.watch()
            time.sleep(0.05)

    # Watching ------------------------------------------------------------------------------------------------------------------------

    def processes(self):
        found = {"server": self.lab.server.pid}
        found.update({f"workstation {i}": station.process.pid for i, station in enumerate(self.stations) if station.process})
        return found

    def watch(self):
        self.memory.sample(self.processes())
        for number, client in enumerate(self.clients):
            with open(os.path.join(self.report, f"{number}.now")) as file:
                words = file.read().split(None, 1)
            if client.poll() is None and words and time.monotonic() - float(words[0]) > WEDGED_SECONDS and not self.wedged:
                print(f"FAILED  client {number} is wedged: {words[1].strip()}", flush=True)
                self.wedged = True
                self.dump(number)

    def dump(self, number):
        """What each of those who may be to blame waits for."""
        with open(os.path.join(self.report, "wedged.txt"), "w") as out:
            for name, pid in {f"client {number}": self.clients[number].pid, **self.processes()}.items():
                out.write(f"==== {name}, {pid}\n")
                for task in sorted(os.listdir(f"/proc/{pid}/task")):
                    for what in ("comm", "wchan", "syscall", "stack"):
                        try:
                            with open(f"/proc/{pid}/task/{task}/{what}") as file:
                                out.write(f"{task} {what}: {file.read().strip()}\n")
                        except OSError as failure:
                            out.write(f"{task} {what}: {failure.strerror}\n")
                out.flush()
                if shutil.which("gdb") and not name.startswith("client"):
                    subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt"], stdout=out, stderr=subprocess.DEVNULL,
                                   stdin=subprocess.DEVNULL, check=False)

    # The end ---------------------------------------------------------------------------------------------------------------------------

    def wait_for_clients(self):
        while any(client.poll() is None for client in self.clients) and not self.wedged:
            self.watch()
            time.sleep(0.1)
        return [client.poll() for client in self.clients]

    def verify(self):
        """Through new mounts that know nothing."""
        for number, station in enumerate(self.stations):
            self.tell("down", number)
            station.unmount()
            station.forget()
            station.mount()
            self.tell("up", number)
        self.clients = [self.run_client("verify", number) for number in range(CLIENTS)]
        return self.wait_for_clients()

    def explain(self, number):
        """What a client found wrong, and all that it had done there."""
        with contextlib.suppress(OSError), open(os.path.join(self.report, f"{number}.log")) as log:
            lines = log.readlines()
            print("".join(lines[:LINES_SHOWN]), end="")
            names = set(re.findall(r"[a-z]+/\S*?/c\d+/\w+", "".join(lines[:LINES_SHOWN])))
            if not names:
                return
            print("\n".join(f"  {event['time']:.3f} {event['what']}" for event in map(json.loads, open(self.events.name))
                            if event["client"] in (None, number)))
            with open(os.path.join(self.report, f"{number}.trace")) as trace:
                print("".join(f"  {line}" for line in trace if any(name in line for name in names)), end="")

    def models(self):
        for number in range(CLIENTS):
            with open(os.path.join(self.report, f"{number}.model")) as file:
                yield json.load(file)

    def shared(self):
        """The shared log and counter, read by the last process."""
        code = (f"import sys; p = {self.stations[0].mountpoint!r} + '/datasets/shared/'; "
                "sys.stdout.buffer.write(open(p + 'counter', 'rb').read() + open(p + 'log', 'rb').read())")
        found = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, timeout=120).stdout
        return int.from_bytes(found[:8], "little"), found[8:].decode().splitlines()

    def end(self):
        for client in self.clients:
            client.kill()
        for station in self.stations:
            station.unmount() if not self.wedged else station.kill()
        for proxy in self.proxies.values():
            proxy.stop()
        self.lab.stop()


def check(holds, sentence):
    print("ok     " if holds else "FAILED ", sentence, flush=True)
    return holds


def judge(soak, verified, flat):
    models = list(soak.models())
    counter, lines = soak.shared()
    done, perhaps = (sum(model["counted"][word] for model in models) for word in ("done", "perhaps"))
    told = {line: state for model in models for line, state in model["shared"].items()}
    calls = {}
    for model in models:
        for name, count in model["done"].items():
            calls[name] = calls.get(name, 0) + count
    print("done:", ", ".join(f"{name} {count}" for name, count in sorted(calls.items())))
    print("disturbed:", ", ".join(f"{name} {count}" for name, count in sorted(soak.counts.items())))
    return [
        check(verified == [0] * CLIENTS, "and found it again through mounts that knew nothing"),
        check(done <= counter <= done + perhaps, f"the number under the lock is {counter}: {done} were counted, {perhaps} perhaps"),
        check(all(lines.count(line) == 1 for line, state in told.items() if state == "done"),
              f"each of {len(told)} lines that were acknowledged is in the shared log once"),
        check(len(set(lines)) == len(lines) and all(line in told for line in lines), f"none of its {len(lines)} lines is torn or there twice"),
        check(flat, "no process grows"),
    ]


def main():
    build, seconds, seed = os.path.abspath(sys.argv[1]), float((sys.argv[2:] or ["12"])[0]), int((sys.argv[3:] or [str(random.randrange(1 << 30))])[0])
    need_mounts()
    print(f"seed {seed}", flush=True)
    with place() as folder:
        report = (sys.argv[4:] or [os.path.join(folder, "report")])[0]
        os.makedirs(report, exist_ok=True)
        soak = Soak(build, folder, report, seconds, seed)
        good = [False]
        try:
            soak.begin()
            soak.disturb()
            soak.tell("finish")
            worked = soak.wait_for_clients()
            lines, flat = soak.memory.report()
            soak.memory.save(os.path.join(report, "memory.csv"))
            print("\n".join(lines))
            good = [check(worked == [0] * CLIENTS, f"each of {CLIENTS} clients found what it was promised while it worked")]
            if good[0]:
                good += judge(soak, soak.verify(), flat)
        finally:
            soak.end()
            for number in range(CLIENTS):
                soak.explain(number)
            shutil.copy(os.path.join(folder, "server.log"), report)
            for station in soak.stations:
                shutil.copy(os.path.join(folder, station.machine, "mount.log"), os.path.join(report, f"{station.machine}.mount.log"))
        good.append(check("0 problems" in soak.lab.run("admin", "fsck", soak.lab.store), "the store is whole"))
        sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
