"""The constructions of fs/crypto, written a second time from fs/store/FORMAT.md on top of Python's `cryptography`.

Usage: oracle.py COMMAND HEX...    prints the result in hexadecimal; exit status 77 where `cryptography` is missing.
"""
import hashlib
import struct
import sys

try:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.cmac import CMAC
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ImportError:
    sys.exit(77)


def hkdf(secret, salt, info, count):
    return HKDF(algorithm=hashes.SHA256(), length=count, salt=salt, info=info).derive(secret)


def open_sealed(key, associated, sealed):
    return AESGCM(key).decrypt(sealed[:12], sealed[12:], associated)


def cmac(key, message):
    mac = CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def double(block):
    number = int.from_bytes(block, "big") << 1
    if number >> 128:
        number = (number & ((1 << 128) - 1)) ^ 0x87
    return number.to_bytes(16, "big")


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def siv(key, associated, plain):
    """RFC 5297, 2.4 and 2.6, from CMAC and CTR."""
    mac_key, ctr_key = key[:32], key[32:]
    state = xor(double(cmac(mac_key, bytes(16))), cmac(mac_key, associated))
    if len(plain) >= 16:
        last = plain[:-16] + xor(plain[-16:], state)
    else:
        last = xor(double(state), (plain + b"\x80").ljust(16, b"\0"))
    iv = cmac(mac_key, last)
    counter = bytearray(iv)
    counter[8] &= 0x7F
    counter[12] &= 0x7F
    encryptor = Cipher(algorithms.AES(ctr_key), modes.CTR(bytes(counter))).encryptor()
    return iv + encryptor.update(plain) + encryptor.finalize()


def space_chunk(space_key, space, associated, sealed):
    return open_sealed(hkdf(space_key, space, b"cytofs 1 contents", 32), associated, sealed)


def space_xattr(space_key, space, associated, sealed):
    return open_sealed(hkdf(space_key, space, b"cytofs 1 xattrs", 32), associated, sealed)


def space_name(space_key, space, associated, plain):
    return siv(hkdf(space_key, space, b"cytofs 1 names", 64), associated, plain)


def space_proof(space_key, space, message):
    return cmac(hkdf(space_key, space, b"cytofs 2 catalog", 32), message)


def space_print(space_key, space, message):
    return cmac(hkdf(space_key, space, b"cytofs 2 prints", 32), message)


def keywrap(store, space, generation, recipient_id, recipient_private, sender_id, sender_public, wrapped):
    assert wrapped[0] == 1 and len(wrapped) == 81
    private = X25519PrivateKey.from_private_bytes(recipient_private)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    ephemeral = wrapped[1:33]
    shared = b"".join(private.exchange(X25519PublicKey.from_public_bytes(k)) for k in (ephemeral, sender_public))
    number = struct.pack("<I", int.from_bytes(generation, "big"))
    context = (b"cytofs keywrap 1" + store + space + number + recipient_id + public + sender_id + sender_public
               + ephemeral)
    return AESGCM(hkdf(shared, None, context, 32)).decrypt(bytes(12), wrapped[33:], context)


def key_file(passphrase, text):
    head, secret = text[:text.index(b"secret ")], text[text.index(b"secret ") + 7:]
    words = head.split(b"\n")[3].split()
    sealed = bytes.fromhex(secret.decode().strip())
    if words == [b"protection", b"none"]:
        return sealed
    key = hashlib.scrypt(passphrase, salt=bytes.fromhex(words[3].decode()), n=1 << int(words[2]), r=8, p=1,
                         maxmem=1 << 27, dklen=32)
    return open_sealed(key, head, sealed)


def crc8(text):
    """CRC-8 with x^8 + x^2 + x + 1, by division of polynomials over GF(2)."""
    number = int.from_bytes(text, "big") << 8
    for bit in range(number.bit_length() - 1, 7, -1):
        if number >> bit & 1:
            number ^= 0x107 << (bit - 8)
    return number


def recovery_text(secret):
    symbols = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    groups = []
    for group in range(5):
        part = secret[4 * group:4 * group + 4]
        number = int.from_bytes(part + bytes([crc8(bytes([group + 1]) + part)]), "big")
        groups.append("".join(symbols[number >> shift & 31] for shift in range(35, -5, -5)))
    return "-".join(groups).encode()


def recovery_member(secret):
    """The member's id and private key."""
    return hkdf(secret, None, b"cytofs recovery id 1", 16) + hkdf(secret, None, b"cytofs recovery key 1", 32)


def fingerprint(member_id, public):
    return hashlib.sha256(member_id + public).digest()[:16]


COMMANDS = {f.__name__.replace("_", "-"): f
            for f in (siv, cmac, space_chunk, space_xattr, space_name, space_proof, space_print, keywrap, key_file, recovery_text, recovery_member,
                   fingerprint)}

if __name__ == "__main__":
    print(COMMANDS[sys.argv[1]](*(bytes.fromhex(a) for a in sys.argv[2:])).hex())
