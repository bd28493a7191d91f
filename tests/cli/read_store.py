"""A second reader of stores, written from fs/store/FORMAT.md and fs/catalog/FORMAT.md alone: Python, sqlite3, `cryptography`.

Usage: read_store.py STORE KEY-FILE PATH OUT
       read_store.py STORE KEY-FILE --everything [--wraps-of OTHER-STORE]
Copies the stored files, folders and symbolic links below PATH of the lab's tree to the new folder OUT and prints one
line `path name=value` for each extended attribute. $CYTOFS_PASSPHRASE opens a protected key file. Whatever does not
open, or not to the place where it lies, is an exception.
--everything tries all keys that the key file gives (of another copy of the store too) on all names, attributes and records of
packs, dead ones too, and prints whatever opens. Exit status 77 where `cryptography` is missing.
"""
import os
import pathlib
import sqlite3
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "unit" / "crypto"))
import oracle  # exits with 77 without `cryptography`
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

CHUNK_BYTES = 131072
ROOT, FILE, FOLDER, LINK = 1, 0, 1, 2


def place(label, *numbers):
    return label + struct.pack("<%dQ" % len(numbers), *numbers)


def chunk_place(space, generation, origin, index):
    """Chunks of format 1, which have generation 0, were bound to their place in a file too."""
    return b"C" + space.id + (struct.pack("<QQ", origin, index) if generation == 0 else b"")


def open_siv(key, associated, sealed):
    """RFC 5297, 2.7: the text is right where sealing it again gives the same bytes."""
    counter = bytearray(sealed[:16])
    counter[8] &= 0x7F
    counter[12] &= 0x7F
    decryptor = Cipher(algorithms.AES(key[32:]), modes.CTR(bytes(counter))).decryptor()
    text = decryptor.update(sealed[16:]) + decryptor.finalize()
    assert oracle.siv(key, associated, text) == sealed, "a sealed text does not open"
    return text


class Space:
    """A key space: its id, and the working keys that its own key gives."""

    def __init__(self, space_id, key):
        self.id = space_id
        self.names = oracle.hkdf(key, space_id, b"cytofs 1 names", 64)
        self.contents = oracle.hkdf(key, space_id, b"cytofs 1 contents", 32)
        self.xattrs = oracle.hkdf(key, space_id, b"cytofs 1 xattrs", 32)
        self.catalog = oracle.hkdf(key, space_id, b"cytofs 2 catalog", 32)

    def proof(self, message):
        return oracle.cmac(self.catalog, message)

    def weight(self, message):
        return int.from_bytes(self.proof(message), "little")


def newest_first(keys):
    return [keys[generation] for generation in sorted(keys, reverse=True)]


def open_any_siv(keys, associated, sealed):
    """With the keys of one generation after the other: what was sealed before a rotation may not be sealed anew yet."""
    for space in newest_first(keys):
        try:
            return open_siv(space.names, associated, sealed)
        except AssertionError:
            pass
    raise AssertionError("a sealed text does not open")


def open_any_xattr(keys, associated, sealed):
    for space in newest_first(keys):
        try:
            return oracle.open_sealed(space.xattrs, associated, sealed)
        except InvalidTag:
            pass
    raise InvalidTag


class Store:
    def __init__(self, folder, key_file):
        self.folder = pathlib.Path(folder)
        first, second, third = (self.folder / "FORMAT").read_text().splitlines()
        assert first == "cytofs store 2" and second.startswith("id ") and third.startswith("sum ")
        self.id = bytes.fromhex(second[3:])
        self.catalog = sqlite3.connect("file:%s/catalog.db?mode=ro" % folder, uri=True)
        assert self.row("PRAGMA user_version") == (3,)
        self.open_spaces(pathlib.Path(key_file).read_bytes())
        self.check_proofs()

    def row(self, statement, *values):
        return self.catalog.execute(statement, values).fetchone()

    def open_spaces(self, key_file):
        """self.spaces[number][generation]"""
        member_id = bytes.fromhex(key_file.split(b"\n")[1].split()[1].decode())
        private = oracle.key_file(os.environ.get("CYTOFS_PASSPHRASE", "").encode(), key_file)
        wraps = self.catalog.execute(
            "SELECT space, spaces.id, wraps.generation, sender.id, sender.public_key, wrapped FROM spaces"
            " JOIN wraps USING(space) JOIN members AS recipient ON recipient.member = wraps.member"
            " JOIN members AS sender ON sender.member = wraps.sender WHERE recipient.id = ?", (member_id,))
        self.spaces = {}
        for number, space_id, generation, sender, sender_public, wrapped in wraps:
            key = oracle.keywrap(self.id, space_id, struct.pack(">I", generation), member_id, private, sender,
                                 sender_public, wrapped)
            self.spaces.setdefault(number, {})[generation] = Space(space_id, key)

    def readers(self, number):
        """The text of the list of who may read the space."""
        space_id, generation, shared, sealed = self.row(
            "SELECT id, generation, shared, readers FROM spaces WHERE space = ?", number)
        associated = b"R" + space_id + struct.pack("<IB", generation, shared)
        return oracle.open_sealed(self.spaces[number][generation].xattrs, associated, sealed)

    def rows(self, statement, *values):
        return self.catalog.execute(statement, values).fetchall()

    def hanging(self, space, inode, kind):
        """The sum of what hangs on an inode."""
        total = sum(space.weight(b"A" + struct.pack("<I", len(name)) + name + value) for name, value in
                    self.rows("SELECT name, value FROM attributes WHERE inode = ?", inode))
        if kind == FOLDER:
            total += sum(space.weight(b"N" + struct.pack("<Q", child) + name) for name, child in
                         self.rows("SELECT name, inode FROM names WHERE parent = ?", inode))
        return total + sum(space.weight(b"C" + struct.pack("<QII", index, generation, count) + nonce)
                           for index, generation, count, nonce in
                           self.rows("SELECT idx, generation, bytes, nonce FROM chunks WHERE inode = ?", inode))

    def check_proofs(self):
        """All that the digests say, of the spaces whose keys are at hand."""
        sums = dict.fromkeys(self.spaces, 0)
        for row in self.rows("SELECT inode, origin, space, size, access_ns, modify_ns, change_ns, version, stamp, stamp_ns,"
                             " uid, gid, rdev, kind, flags, mode, links, generation, digest FROM inodes"):
            number, kind, digest = row[2], row[13], row[18]
            if number not in self.spaces:
                continue
            proof = digest[16:]
            sums[number] = (sums[number] + int.from_bytes(proof, "little")) % (1 << 128)
            space = self.spaces[number][row[17]]
            assert proof == space.proof(b"I" + struct.pack("<13q6I", *row[:18], 0) + digest[:16]), row[0]
            assert self.hanging(space, row[0], kind) % (1 << 128) == int.from_bytes(digest[:16], "little"), row[0]
        for number, keys in self.spaces.items():
            space = newest_first(keys)[0]
            digest, = self.row("SELECT digest FROM spaces WHERE space = ?", number)
            assert digest[8:24] == space.proof(
                b"S" + struct.pack("<Q", number) + digest[:8] + sums[number].to_bytes(16, "little")), number
        self.check_root()

    def check_root(self):
        def columns(letter, row):
            return letter + b"".join(struct.pack("<q", value) if isinstance(value, int)
                                     else struct.pack("<I", len(value)) + value
                                     for value in (v.encode() if isinstance(v, str) else v for v in row))
        lab = newest_first(self.spaces[1])[0]
        few = [columns(b"s", row) for row in self.rows(
            "SELECT space, id, generation, oldest, shared, readers, CASE space WHEN 1 THEN x'' ELSE digest END FROM spaces")]
        few += [columns(b"m", row) for row in self.rows(
            "SELECT member, id, public_key, name, added_ms, flags, removed_ms FROM members")]
        total = sum(lab.weight(b"F" + row) for row in few) % (1 << 128)
        numbers = dict(self.rows("SELECT which, value FROM numbers"))
        digest, = self.row("SELECT digest FROM spaces WHERE space = 1")
        assert digest[:8] == struct.pack("<Q", numbers[4])
        assert digest[24:] == lab.proof(b"R" + struct.pack("<4Q", numbers[4], numbers[0], numbers[1], numbers[2])
                                        + total.to_bytes(16, "little"))

    def node(self, inode):
        kind, space, size, origin = self.row("SELECT kind, space, size, origin FROM inodes WHERE inode = ?", inode)
        return kind, self.spaces[space], size, origin

    def entries(self, folder):
        kind, keys, _, origin = self.node(folder)
        assert kind == FOLDER
        for sealed, inode in self.catalog.execute("SELECT name, inode FROM names WHERE parent = ?", (folder,)):
            yield open_any_siv(keys, place(b"N", origin), sealed), inode

    def find(self, path):
        inode = ROOT
        for name in filter(None, path.split("/")):
            inode = dict(self.entries(inode))[name.encode()]
        return inode

    def chunk(self, pack, offset, count):
        """The chunk of the record at that place of that pack."""
        data = (self.folder / "packs" / ("%08d.pack" % pack)).read_bytes()
        assert data[:8] == b"cytofspk" and struct.unpack("<II", data[8:16]) == (1, pack) and data[16:32] == self.id
        assert data[offset:offset + 4] == b"cyrc" and struct.unpack("<I", data[offset + 4:offset + 8]) == (count,)
        return data[offset + 24:offset + 24 + count]

    def contents(self, inode):
        _, keys, size, origin = self.node(inode)
        text = bytearray(size)
        for index, pack, offset, count, nonce, generation in self.catalog.execute(
                "SELECT idx, pack, offset, bytes, nonce, generation FROM chunks WHERE inode = ?", (inode,)):
            space = keys[max(generation, 1)]
            sealed = self.chunk(pack, offset, count)
            assert sealed[:12] == nonce
            plain = oracle.open_sealed(space.contents, chunk_place(space, generation, origin, index), sealed)
            assert index * CHUNK_BYTES + len(plain) <= size and len(plain) <= CHUNK_BYTES
            text[index * CHUNK_BYTES:index * CHUNK_BYTES + len(plain)] = plain
        return bytes(text)

    def target(self, inode):
        _, keys, _, origin = self.node(inode)
        sealed, = self.row("SELECT value FROM attributes WHERE inode = ? AND name = x''", inode)
        return open_any_siv(keys, place(b"T", origin), sealed)

    def attributes(self, inode):
        _, keys, _, origin = self.node(inode)
        for name, value in self.catalog.execute(
                "SELECT name, value FROM attributes WHERE inode = ? AND name != x''", (inode,)):
            yield (open_any_siv(keys, place(b"A", origin), name),
                   open_any_xattr(keys, place(b"V", origin) + name, value))

    def records(self):
        """Every record of every pack, whether something names it or not."""
        for path in sorted((self.folder / "packs").glob("*.pack")):
            data = path.read_bytes()
            offset = 64
            while data[offset:offset + 4] == b"cyrc":
                count, = struct.unpack("<I", data[offset + 4:offset + 8])
                yield data[offset + 24:offset + 24 + count]
                offset += 24 + count


def everything(store, spaces):
    """Whatever one of the spaces' keys opens, wherever it lies."""
    places = [(b"N", "SELECT parent, name FROM names"), (b"T", "SELECT inode, value FROM attributes WHERE name = x''"),
              (b"A", "SELECT inode, name FROM attributes WHERE name != x''")]
    origins = dict(store.catalog.execute("SELECT inode, origin FROM inodes"))
    chunk_places = store.catalog.execute(
        "SELECT DISTINCT chunks.generation, origin, idx FROM chunks JOIN inodes USING(inode)").fetchall()
    for space in spaces:
        for label, statement in places:
            for inode, sealed in store.catalog.execute(statement):
                try:
                    yield open_siv(space.names, place(label, origins[inode]), sealed)
                except (AssertionError, KeyError):
                    pass
        for inode, name, value in store.catalog.execute("SELECT inode, name, value FROM attributes WHERE name != x''"):
            try:
                yield oracle.open_sealed(space.xattrs, place(b"V", origins[inode]) + name, value)
            except (InvalidTag, KeyError):
                pass
        for sealed in store.records():
            for associated in {chunk_place(space, *where) for where in chunk_places}:
                try:
                    yield oracle.open_sealed(space.contents, associated, sealed)
                except InvalidTag:
                    pass


def copy(store, inode, out):
    kind = store.node(inode)[0]
    if kind == FOLDER:
        out.mkdir()
        for name, entry in store.entries(inode):
            copy(store, entry, out / os.fsdecode(name))
    elif kind == LINK:
        out.symlink_to(os.fsdecode(store.target(inode)))
    else:
        out.write_bytes(store.contents(inode))
    for name, value in store.attributes(inode):
        print("%s %s=%s" % (out.name, os.fsdecode(name), os.fsdecode(value)))


if __name__ == "__main__":
    opened = Store(sys.argv[1], sys.argv[2])
    if sys.argv[3] == "--everything":
        copies = [opened] + [Store(folder, sys.argv[2]) for folder in sys.argv[5:]]
        for found in everything(opened, [space for store in copies for keys in store.spaces.values() for space in keys.values()]):
            sys.stdout.buffer.write(found + b"\n")
    else:
        copy(opened, opened.find(sys.argv[3]), pathlib.Path(sys.argv[4]))
