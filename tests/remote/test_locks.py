#!/usr/bin/python3
"""Processes of two machines lock one file; whoever has a lock sees what was written last.  The clients, and the oracle, are tests/mount/share_locks.py.

    test_locks.py BUILD [ROUNDS]        100 rounds unless told otherwise
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
from remote_lab import Lab, need_mounts, place, wait_for  # noqa: E402


def main():
    build, rounds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "100"
    need_mounts()
    stations = []
    with place() as folder:
        lab = Lab(build, folder)
        lab.serve()
        try:
            stations.append(lab.invite("bob", lab.port))
            stations.append(stations[0].another("bobs-other"))
            for station in stations:
                station.mount()
            paths = [os.path.join(station.mountpoint, "datasets", "locks", "file") for station in stations]
            os.mkdir(os.path.dirname(paths[0]))
            open(paths[0], "w").close()
            wait_for("the file on the other machine", lambda: os.path.exists(paths[1]))
            status = subprocess.call([sys.executable, os.path.join(HERE, "..", "mount", "share_locks.py"), rounds, *paths])
        finally:
            for station in stations:
                station.unmount()
            lab.stop()
    print("FAILED" if status else "ok     ", "whoever has a lock sees what was written last")
    sys.exit(status)


main()
