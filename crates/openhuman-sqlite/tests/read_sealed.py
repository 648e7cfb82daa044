#!/usr/bin/env python3
"""Reads a sealed database (docs/format-sqlite.md) without the Rust code.

Usage: read_sealed.py DATABASE KEY-IN-HEX OUTPUT [SEAL-IN-HEX]

Writes a plain SQLite database: the pages of the file, overlaid with the committed frames of DATABASE-wal if there
is one. Checks the seal if there is one. Needs the package `cryptography`. Exits with a message when anything does not
authenticate, or is not the newest.
"""

import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PAGE, RESERVE, FRAME_HEADER, LOG_HEADER = 4096, 40, 24, 32
BODY, FRAME = PAGE - RESERVE, PAGE + FRAME_HEADER
MAGIC = b"SQLite format 3\0"
LOCK_PAGE = 0x40000000 // PAGE + 1  # never used by SQLite


def derive(key: bytes, salt: bytes, label: str) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, label.encode()).derive(key)


class Xaes:
    """XAES-256-GCM as c2sp.org/XAES-256-GCM defines it."""

    def __init__(self, key: bytes):
        self.block = Cipher(algorithms.AES(key), modes.ECB())
        doubled = int.from_bytes(self.encrypt(bytes(16)), "big") << 1
        if doubled >> 128:
            doubled = (doubled & ((1 << 128) - 1)) ^ 0x87
        self.k1 = doubled

    def encrypt(self, block: bytes) -> bytes:
        return self.block.encryptor().update(block)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Opens `ciphertext || nonce(24) || tag(16)`, the order in which pages and frames store them."""
        ciphertext, nonce, tag = sealed[:-40], sealed[-40:-16], sealed[-16:]
        key = b""
        for counter in (1, 2):
            message = bytes([0, counter]) + b"X\0" + nonce[:12]
            key += self.encrypt((int.from_bytes(message, "big") ^ self.k1).to_bytes(16, "big"))
        return AESGCM(key).decrypt(nonce[12:], ciphertext + tag, aad)


def fail(message: str):
    sys.exit(f"read_sealed: {message}")


def read_pages(data: bytes, key: bytes) -> tuple[bytes, dict[int, bytes]]:
    file_id = data[:16]
    if file_id == MAGIC:
        fail("this is a plain database")
    if derive(key, file_id[:10], "openhuman-memory/v1/id")[:6] != file_id[10:]:
        fail("wrong key")
    cipher = Xaes(derive(key, file_id, "openhuman-memory/v1/page"))
    pages = {}
    for number in range(1, len(data) // PAGE + 1):
        page = data[(number - 1) * PAGE : number * PAGE]
        if number == LOCK_PAGE and page == bytes(PAGE):
            pages[number] = page
            continue
        aad = b"\0" + file_id + struct.pack(">Q", number)
        try:
            plain = cipher.open(page[16:], aad) if number == 1 else cipher.open(page, aad)
        except InvalidTag:
            pages[number] = None  # An error, unless the log has the page.
            continue
        pages[number] = (MAGIC + plain if number == 1 else plain) + bytes(RESERVE)
    return file_id, pages


def checksum(data: bytes, state: tuple[int, int], order: str) -> tuple[int, int]:
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    a, b = state
    for x, y in zip(words[::2], words[1::2]):
        a = (a + x + b) & 0xFFFFFFFF
        b = (b + y + a) & 0xFFFFFFFF
    return a, b


def read_log(log: bytes, file_id: bytes, key: bytes) -> tuple[dict[int, bytes], int | None]:
    """The committed pages of the log, and the size of the database after the last commit."""
    cipher = Xaes(derive(key, file_id, "openhuman-memory/v1/wal"))
    count = max(0, len(log) - LOG_HEADER) // FRAME

    def frame(index: int) -> bytes | None:
        start = LOG_HEADER + index * FRAME
        try:
            return cipher.open(log[start : start + FRAME], b"\1" + file_id + struct.pack(">Q", index))
        except InvalidTag:
            return None

    def end(index: int, salts: bytes | None):
        """A frame behind the end whose mark lies beyond it says that the log was damaged."""
        for later in range(index, count):
            at = LOG_HEADER + later * FRAME + FRAME - 20
            mark = int.from_bytes(log[at : at + 4], "big")
            plain = frame(later) if mark > index else None
            if plain and salts in (None, plain[8:16]):
                fail(f"frame {index} of the log was damaged or exchanged")

    if len(log) < LOG_HEADER:
        return {}, None
    magic, version, page_size, _sequence = struct.unpack(">4I", log[:16])
    if magic & ~1 != 0x377F0682 or version != 3007000 or page_size != PAGE:
        end(0, None)
        return {}, None
    order = ">" if magic & 1 else "<"
    salts = log[16:24]
    state = checksum(log[:24], (0, 0), order)
    if state != struct.unpack(">2I", log[24:32]):
        end(0, None)
        return {}, None
    committed, open_transaction, size = {}, {}, None
    for index in range(count):
        plain = frame(index)
        if plain is None:
            end(index, salts)
            break
        header, page = plain[:FRAME_HEADER], plain[FRAME_HEADER:] + bytes(RESERVE)
        number, new_size = struct.unpack(">2I", header[:8])
        state = checksum(header[:8] + page, state, order)
        if header[8:16] != salts or not number or state != struct.unpack(">2I", header[16:24]):
            end(index, salts)
            break
        open_transaction[number] = page
        if new_size:
            committed.update(open_transaction)
            open_transaction, size = {}, new_size
    return committed, size


PRIME = 2**61 - 1


def changed_page(tags: list[bytes], locator: bytes) -> int | None:
    """The page whose tag is another one than in the sums of the seal, if it is one page."""
    values = [int.from_bytes(tag, "big") for tag in tags]
    now = [sum(value * number**power for number, value in enumerate(values, 1)) for power in (0, 1, 2)]
    tag, once, twice = ((new - old) % PRIME for new, old in zip(now, struct.unpack(">3Q", locator)))
    page = once * pow(tag, -1, PRIME) % PRIME if tag else 0
    return page if 1 <= page <= len(tags) and twice == once * page % PRIME else None


def check_seal(seal: bytes, data: bytes, log: bytes, key: bytes):
    version = seal[0]
    if len(seal) != {1: 66, 2: 90}.get(version):
        fail("this is no seal")
    head, locator, mac = seal[:34], seal[34:-32], seal[-32:]
    state, _generation, pages = struct.unpack(">BQQ", head[1:18])
    if state == 0:
        print("freshness unknown: the last session did not close", file=sys.stderr)
        return
    if log or len(data) != pages * PAGE or data[:16] != head[18:]:
        fail("rolled back: this is not the database of the last clean close")
    tags = [data[at - 16 : at] for at in range(PAGE, len(data) + 1, PAGE)]
    ours = hmac.HMAC(derive(key, head[18:], "openhuman-memory/v1/seal"), hashes.SHA256())
    ours.update(head + b"".join(tags) + locator)
    if ours.finalize() != mac:
        page = changed_page(tags, locator) if locator else None
        fail(f"rolled back: {f'page {page}' if page else 'several pages'} of another session")


def main() -> None:
    if len(sys.argv) not in (4, 5):
        fail(__doc__.strip().splitlines()[2])
    path, key, output = *sys.argv[1:2], bytes.fromhex(sys.argv[2]), sys.argv[3]
    with open(path, "rb") as file:
        data = file.read()
    try:
        with open(path + "-wal", "rb") as file:
            log = file.read()
    except FileNotFoundError:
        log = b""
    if len(sys.argv) == 5:
        check_seal(bytes.fromhex(sys.argv[4]), data, log, key)
    file_id, pages = read_pages(data, key)
    newer, size = read_log(log, file_id, key)
    pages.update(newer)
    count = size if size is not None else len(data) // PAGE
    with open(output, "xb") as file:
        for number in range(1, count + 1):
            page = pages.get(number)
            if page is None:
                fail(f"page {number} does not authenticate")
            # Rollback-journal mode, so that the copy needs no log beside it.
            file.write(page[:18] + b"\1\1" + page[20:] if number == 1 else page)


if __name__ == "__main__":
    main()
