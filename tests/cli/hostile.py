"""Somebody who has the disk: every table and every pack of a store edited, and what a reader then gets.

Usage: hostile.py STORE OLDER-STORE KEY-FILE READ_LAB SUM_PAGES WORK [ROUNDS [SEED]]
OLDER-STORE is an earlier copy of STORE. Each case is a copy of the store, changed. READ_LAB then refuses it in words, or tells of
each thing either what it told of the unchanged store, or an error: never anything else.
"""
import os
import random
import shutil
import sqlite3
import subprocess
import sys

store, older, key, read_lab, sum_pages, work = sys.argv[1:7]
rounds = int(sys.argv[7]) if len(sys.argv) > 7 else 25
seed = int(sys.argv[8]) if len(sys.argv) > 8 else 1

TABLES = ["numbers", "members", "spaces", "wraps", "inodes", "names", "chunks", "attributes", "packs"]


def read(folder, seen=None):
    """Whether it opens, and what is said of each path; or the reason."""
    done = subprocess.run([read_lab, folder, key] + ([seen] if seen else []), capture_output=True, timeout=60,
                          env=dict(os.environ, ASAN_OPTIONS="exitcode=99", UBSAN_OPTIONS="exitcode=99"))
    assert done.returncode in (0, 1), "the reader crashed: %s" % done.stderr.decode(errors="replace")[-2000:]
    lines = done.stdout.decode(errors="surrogateescape").splitlines()
    if done.returncode:
        return None, done.stderr.decode(errors="replace")
    return dict(line.split("\t", 1) for line in lines), ""


def check(what, folder, must_notice=True):
    """Every answer is right or an error; with must_notice something has to be noticed."""
    told, reason = read(folder)
    if told is None:
        assert len(reason.partition("refused: ")[2]) > 20, "%s: refused without a word: %s" % (what, reason[-3000:])
        return "refused"
    wrong = noticed = 0
    for path, text in told.items():
        if text.startswith("error: "):
            noticed += 1
            assert len(text) > 15, "%s: an error without a word" % what
        elif truth.get(path) != text:
            wrong += 1
            print("WRONG: %s: %s is %s and should be %s" % (what, path, text, truth.get(path)))
    for path in truth:
        above = [path.rsplit("/", n)[0] for n in range(1, path.count("/") + 1)] + [""]
        if path not in told and not any(told.get(folder, "").startswith("error: ") for folder in above):
            wrong += 1
            print("WRONG: %s: %s has gone without a word" % (what, path))
    assert not wrong, what
    assert noticed or not must_notice, "%s: nobody noticed" % what
    return "noticed" if noticed else "without effect"


def fresh():
    folder = os.path.join(work, "case")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(store, folder)
    return folder


def catalog_of(folder):
    catalog = sqlite3.connect(os.path.join(folder, "catalog.db"), isolation_level=None)
    catalog.execute("PRAGMA ignore_check_constraints = ON")
    catalog.execute("PRAGMA journal_mode = DELETE")
    return catalog


def close(folder, catalog):
    catalog.close()
    subprocess.run([sum_pages, os.path.join(folder, "catalog.db")], check=True)


def columns(catalog, table):
    return [(row[1], row[5]) for row in catalog.execute("PRAGMA table_info(%s)" % table)]


def changed(value):
    """Another value of that type."""
    if isinstance(value, int):
        return value ^ chance.choice([1, 2, 1 << 20])
    if isinstance(value, str):
        return value + "x"
    if not value:
        return b"x"
    at = chance.randrange(len(value))
    return value[:at] + bytes([value[at] ^ 1 << chance.randrange(8)]) + value[at + 1:]


def pick_row(catalog, table):
    """A row, as its columns by name, and the condition that finds it."""
    names = columns(catalog, table)
    rows = catalog.execute("SELECT * FROM %s" % table).fetchall()
    row = dict(zip([name for name, _ in names], chance.choice(rows)))
    keys = [name for name, part in names if part] or [names[0][0]]
    return row, " AND ".join("%s IS ?" % name for name in keys), [row[name] for name in keys]


def edit(catalog, table):
    row, where, keys = pick_row(catalog, table)
    name = chance.choice(list(row))
    if row[name] is None or (table, name) == ("chunks", "print"):
        return False  # a print is only a hint
    catalog.execute("UPDATE OR REPLACE %s SET %s = ? WHERE %s" % (table, name, where), [changed(row[name])] + keys)
    return True


def delete(catalog, table):
    _, where, keys = pick_row(catalog, table)
    catalog.execute("DELETE FROM %s WHERE %s" % (table, where), keys)
    return True


def swap(catalog, table):
    """Two rows change all but their keys."""
    (one, where_one, keys_one), (two, where_two, keys_two) = pick_row(catalog, table), pick_row(catalog, table)
    parts = [name for name, part in columns(catalog, table) if not part and name not in ("id", "print")]
    if keys_one == keys_two or not parts or all(one[name] == two[name] for name in parts):
        return False
    for row, where, keys in ((two, where_one, keys_one), (one, where_two, keys_two)):
        catalog.execute("UPDATE %s SET %s WHERE %s" % (table, ", ".join("%s = ?" % name for name in parts), where),
                        [row[name] for name in parts] + keys)
    return True


def replay(catalog, table):
    """A row as it was earlier."""
    catalog.execute("ATTACH ? AS older", [os.path.join(older, "catalog.db")])
    # What hangs on a file that is gone is read by nobody.
    living = " WHERE inode IN (SELECT inode FROM main.inodes)" if table in ("chunks", "attributes") else ""
    rows = catalog.execute("SELECT * FROM older.%s%s EXCEPT SELECT * FROM main.%s" % (table, living, table)).fetchall()
    if rows:
        row = chance.choice(rows)
        catalog.execute("REPLACE INTO main.%s VALUES(%s)" % (table, ", ".join("?" * len(row))), row)
    catalog.execute("DETACH older")
    return bool(rows)


def every_table():
    for table in TABLES:
        for way in (edit, delete, swap, replay):
            for _ in range(2):
                folder = fresh()
                catalog = catalog_of(folder)
                done = way(catalog, table)
                close(folder, catalog)
                # What is derived, or a hint, or a key wrapped for somebody else may be edited without effect.
                if done:
                    noticed = table not in ("packs", "numbers", "wraps")
                    count[check("%s of %s" % (way.__name__, table), folder, must_notice=noticed)] += 1


def a_whole_older_file():
    """Everything that the catalog says of an inode, put back together: each part proves the others."""
    folder = fresh()
    catalog = catalog_of(folder)
    catalog.execute("ATTACH ? AS older", [os.path.join(older, "catalog.db")])
    inodes = [row[0] for row in catalog.execute(
        "SELECT old.inode FROM older.inodes AS old JOIN main.inodes AS new USING(inode)"
        " WHERE old.kind = 0 AND old.version != new.version")]
    assert inodes, "no file was changed"
    for table, part in (("inodes", "inode"), ("chunks", "inode"), ("attributes", "inode"), ("names", "inode")):
        for inode in inodes:
            catalog.execute("DELETE FROM main.%s WHERE %s = ?" % (table, part), [inode])
            catalog.execute("INSERT INTO main.%s SELECT * FROM older.%s WHERE %s = ?" % (table, table, part), [inode])
    catalog.execute("DETACH older")
    close(folder, catalog)
    for name in os.listdir(os.path.join(older, "packs")):
        if not os.path.exists(os.path.join(folder, "packs", name)):
            shutil.copy(os.path.join(older, "packs", name), os.path.join(folder, "packs", name))
    count[check("an older file as a whole", folder)] += 1


def a_whole_older_space():
    """All inodes of the lab's own space with its sealed sum, and not the rest."""
    folder = fresh()
    catalog = catalog_of(folder)
    catalog.execute("ATTACH ? AS older", [os.path.join(older, "catalog.db")])
    spaces = [row[0] for row in catalog.execute("SELECT space FROM main.spaces WHERE space > 1 AND EXISTS("
                                                "SELECT 1 FROM older.spaces AS old WHERE old.space = spaces.space AND"
                                                " old.digest != spaces.digest)")]
    assert spaces, "no space was changed"
    space = spaces[-1]
    for table in ("chunks", "attributes", "names"):
        part = "parent" if table == "names" else "inode"
        catalog.execute("DELETE FROM main.%s WHERE %s IN (SELECT inode FROM main.inodes WHERE space = ?)" % (table, part),
                        [space])
        catalog.execute("INSERT OR REPLACE INTO main.%s SELECT * FROM older.%s WHERE %s IN"
                        " (SELECT inode FROM older.inodes WHERE space = ?)" % (table, table, part), [space])
    catalog.execute("DELETE FROM main.inodes WHERE space = ?", [space])
    catalog.execute("INSERT INTO main.inodes SELECT * FROM older.inodes WHERE space = ?", [space])
    catalog.execute("UPDATE main.spaces SET digest = (SELECT digest FROM older.spaces WHERE space = ?1) WHERE space = ?1",
                    [space])
    catalog.execute("DETACH older")
    close(folder, catalog)
    count[check("an older space as a whole", folder)] += 1


def the_whole_older_store():
    """It is genuine in itself; what was seen last tells."""
    seen = os.path.join(work, "seen")
    assert read(fresh(), seen)[0] == truth
    folder = os.path.join(work, "case")
    shutil.rmtree(folder)
    shutil.copytree(older, folder)
    told, reason = read(folder, seen)
    assert told is None and "older than when you used it last" in reason, reason
    count["refused"] += 1


def packs():
    names = sorted(os.listdir(os.path.join(store, "packs")))
    for what in ("truncated", "emptied", "removed", "flipped", "swapped", "older"):
        folder = fresh()
        path = os.path.join(folder, "packs", chance.choice(names))
        size = os.path.getsize(path)
        if what == "truncated":
            os.truncate(path, size // 2)
        elif what == "emptied":
            os.truncate(path, 0)
        elif what == "removed":
            os.remove(path)
        elif what == "flipped":
            with open(path, "r+b") as file:
                for at in range(100, size, 997):
                    file.seek(at)
                    byte = file.read(1)
                    file.seek(at)
                    file.write(bytes([byte[0] ^ 0x40]))
        elif what == "swapped":
            other = os.path.join(folder, "packs", chance.choice(names))
            os.rename(path, path + ".moved")
            if other != path:
                os.rename(other, path)
            os.rename(path + ".moved", other)
        else:
            for name in os.listdir(os.path.join(older, "packs")):
                shutil.copy(os.path.join(older, "packs", name), os.path.join(folder, "packs", name))
        count[check("a pack %s" % what, folder, must_notice=what in ("truncated", "emptied", "removed", "flipped"))] += 1


def mutate_rows(folder):
    catalog = catalog_of(folder)
    for _ in range(chance.randrange(1, 4)):
        chance.choice([edit, delete, swap, replay])(catalog, chance.choice(TABLES))
    close(folder, catalog)


def mutate_bytes(folder):
    path = os.path.join(folder, "catalog.db")
    with open(path, "r+b") as file:
        for _ in range(chance.choice([1, 1, 1, 8, 64])):
            file.seek(chance.randrange(os.path.getsize(path)))
            file.write(bytes([chance.randrange(256)]))
    if chance.random() < 0.7:
        subprocess.run([sum_pages, path], capture_output=True)


def fuzz():
    for number in range(rounds):
        folder = fresh()
        chance.choice([mutate_rows, mutate_bytes])(folder)
        count[check("mutation %d of seed %d" % (number, seed), folder, must_notice=False)] += 1


count = {"refused": 0, "noticed": 0, "without effect": 0}
chance = random.Random(seed)
truth, reason = read(store)
assert truth, reason
assert not any(text.startswith("error") for text in truth.values()), truth
every_table()
a_whole_older_file()
a_whole_older_space()
the_whole_older_store()
packs()
fuzz()
print("%d cases: %d refused, %d noticed where it was read, %d without effect; no wrong byte" %
      (sum(count.values()), count["refused"], count["noticed"], count["without effect"]))
