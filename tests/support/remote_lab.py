"""A lab that is served, and workstations that mount it, all on this machine; each has a HOME of its own, and a delay_proxy stands for
the network between them.  For tests and benches of what is remote."""
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def need_mounts():
    if not os.path.exists("/dev/fuse"):
        skip("there is no /dev/fuse")
    if os.geteuid() != 0 and not shutil.which("fusermount3"):
        skip("neither root nor fusermount3")


PORTS = iter([20000 + (os.getpid() + i) % 12000 for i in range(12000)])


def free_port():
    """Another one each time, below those that the system gives to whoever connects: nobody has it while its server is started again."""
    for port in PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port from 20000 to 32000 is free")


def wait_for(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds} s")
        time.sleep(0.01)


class Proxy:
    """tests/support/delay_proxy, between a port of its own and another."""

    def __init__(self, build, to_port, *options, port=0):
        self.process = subprocess.Popen(
            [os.path.join(build, "tests/support/delay_proxy"), "127.0.0.1", str(to_port), "--port", str(port), *map(str, options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def count(self):
        """Bytes to the server and back, and cuts."""
        return [int(word) for word in self.say("count")[1:]]

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Lab:
    """A store, its server, and members, below one folder."""

    def __init__(self, build, place):
        self.program, self.build, self.place = os.path.join(build, "tools/cytofs"), build, place
        self.store, self.port, self.server = os.path.join(place, "store"), free_port(), None
        os.makedirs(place, exist_ok=True)
        self.run("admin", "init", "--member", "admin", self.store)

    def home(self, person):
        home = os.path.join(self.place, person)
        os.makedirs(os.path.join(home, "run"), exist_ok=True)
        return home

    def environment(self, person):
        home = self.home(person)
        return os.environ | {"HOME": home, "XDG_CONFIG_HOME": home + "/.config", "XDG_STATE_HOME": home + "/.state",
                             "XDG_CACHE_HOME": home + "/.cache", "XDG_RUNTIME_DIR": home + "/run"}

    def run(self, person, *words):
        done = subprocess.run([self.program, *words], env=self.environment(person), text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            raise RuntimeError(f"cytofs {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def serve(self):
        log = open(os.path.join(self.place, "server.log"), "a")
        self.server = subprocess.Popen(
            [self.program, "serve", "--foreground", "--no-node", "--listen", f"127.0.0.1:{self.port}", self.store],
            env=self.environment("admin"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        wait_for("the server's start", self.answers)

    def answers(self):
        if self.server.poll() is not None:
            raise RuntimeError("the server ended: see server.log")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self, how=signal.SIGTERM):
        if self.server:
            self.server.send_signal(how)
            self.server.wait()
            self.server = None

    def invite(self, person, port, role="scientist"):
        """Makes the person a member who reaches the server through that port."""
        words = self.run("admin", "member", "add", self.store, person, "--role", role, "--host", f"127.0.0.1:{port}").split()
        self.run(person, *words[words.index("join"):])
        return Workstation(self, person, port)


class Workstation:
    """One member's mount."""

    def __init__(self, lab, person, port, machine=None):
        self.lab, self.person, self.port, self.machine = lab, person, port, machine or person
        self.address = f"{person}@127.0.0.1:{port}"
        self.mountpoint, self.process = os.path.join(lab.home(self.machine), "lab"), None
        os.makedirs(self.mountpoint, exist_ok=True)

    def another(self, machine):
        """Another machine of the same person, who has copied his keys there."""
        shutil.copytree(self.lab.home(self.person) + "/.config", self.lab.home(machine) + "/.config")
        return Workstation(self.lab, self.person, self.port, machine)

    def mount(self, *options):
        log = open(os.path.join(self.lab.home(self.machine), "mount.log"), "a")
        self.process = subprocess.Popen([self.lab.program, "mount", "--foreground", *options, self.address, self.mountpoint],
                                        env=self.lab.environment(self.machine), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        wait_for("the mount", self.is_mounted)

    def is_mounted(self):
        """Without asking the mount, which may have to wait for the server."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.address} did not mount: see mount.log")
        with open("/proc/self/mountinfo") as mounts:
            return any(line.split()[4] == self.mountpoint for line in mounts)

    def unmount(self):
        if self.process:
            subprocess.run(["fusermount3", "-u", "-z", self.mountpoint], stderr=subprocess.DEVNULL)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        subprocess.run(["fusermount3", "-u", "-z", self.mountpoint], stderr=subprocess.DEVNULL)

    def forget(self):
        """Without what it keeps on disk."""
        shutil.rmtree(self.lab.home(self.machine) + "/.cache", ignore_errors=True)


@contextlib.contextmanager
def place():
    """A folder that is gone afterwards, with what servers keep in memory between two lives."""
    folder = tempfile.mkdtemp(prefix="cytofs-remote-")
    memory = tempfile.mkdtemp(prefix="cytofs-remote-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else folder)
    os.environ["RUNTIME_DIRECTORY"] = memory
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(memory, ignore_errors=True)
