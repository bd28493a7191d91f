"""Several processes use one SQLite database at once, one of them is killed: use_sqlite.py MODE PATH [SAME_PATH_ELSEWHERE]

Each moves money between accounts in transactions and says when one is committed.  At the end the database is whole, no money
was lost or made, and nothing that was committed is missing."""
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

ACCOUNTS = 50


def connect(path, mode):
    database = sqlite3.connect(path, timeout=30, isolation_level=None)
    found = database.execute("pragma journal_mode=" + mode).fetchone()[0]
    assert found == mode, found
    return database


def work(path, mode, name, count):
    database, chance = connect(path, mode), random.Random(name)
    for i in range(count):
        amount, source, target = chance.randrange(100), chance.randrange(ACCOUNTS), chance.randrange(ACCOUNTS)
        database.execute("begin immediate")
        database.execute("update accounts set money = money - ? where id = ?", (amount, source))
        database.execute("insert into log values (?, ?, ?)", (name, i, "x" * chance.randrange(3000)))
        database.execute("update accounts set money = money + ? where id = ?", (amount, target))
        database.execute("commit" if chance.randrange(10) else "rollback")
        print(i, flush=True)


def main(mode, paths):
    database = connect(paths[0], mode)
    database.execute("create table accounts (id integer primary key, money integer)")
    database.execute("create table log (who text, number integer, filler text)")
    database.executemany("insert into accounts values (?, 1000)", ((i,) for i in range(ACCOUNTS)))
    database.close()
    children = [subprocess.Popen([sys.executable, __file__, "--work", mode, paths[i % len(paths)], "worker%d" % i,
                                  "100000" if i == 2 else "60"], stdout=subprocess.PIPE, text=True) for i in range(3)]
    for _ in range(20):
        children[2].stdout.readline()
    children[2].send_signal(signal.SIGKILL)
    said = [[int(line) for line in child.stdout.read().split()] for child in children]
    assert [child.wait() for child in children] == [0, 0, -signal.SIGKILL]
    assert len(said[0]) == len(said[1]) == 60
    database = connect(paths[-1], mode)
    assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert database.execute("select sum(money) from accounts").fetchone() == (1000 * ACCOUNTS,)
    for i in range(2):
        chance, kept = random.Random("worker%d" % i), []
        for number in range(60):
            [chance.randrange(n) for n in (100, ACCOUNTS, ACCOUNTS, 3000)]
            if chance.randrange(10):
                kept.append((number,))
        found = database.execute("select number from log where who = ? order by number", ("worker%d" % i,)).fetchall()
        assert found == kept, (len(found), len(kept))


if sys.argv[1] == "--work":
    work(sys.argv[3], sys.argv[2], sys.argv[4], int(sys.argv[5]))
else:
    main(sys.argv[1], sys.argv[2:])
