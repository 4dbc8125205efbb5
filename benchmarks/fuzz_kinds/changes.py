"""Changes at random: of bytes, and of values inside of a file that stays whole."""

import copy
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

__all__ = [
    "changed_boxes",
    "changed_bytes",
    "changed_json",
    "changed_numbers",
    "changed_png",
    "changed_table",
    "changed_zip",
]

# Values that a program may take for others, or choke on.
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.5, -0.0, 10**9, 2**31, 2**53, 2**63, 2**64),
    *(10**400, 1e308, float("nan"), float("inf"), "", " ", "x", "train", "raw", "0"),
    *("../x", "/dev/zero", "http://127.0.0.1/x", "\ud800", "a\nb", "\0", "9" * 5000),
    *("\x1b[2J", "\u202e", "=1+1", "x" * 100_000, [], {}, [[]], {"": ""}, [None]),
    *(["x"], [0, 1], {"name": 7}, {"class_name": "Lambda"}, [{}], [[0] * 9]),
)
ODD_BYTES = (
    *(b"", b"\0", b"\xff", b'"', b",", b"\n", b"-", b"{", b"]", b"e9999", b"\xed\xa0"),
    *(b"[" * 5000, b'{"a":' * 3000, b"9" * 400, b"\xff" * 8, b"\0" * 200, b"--edge"),
)
ODD_NUMBERS = (0, 1, 2, 7, 8, 2**7, 2**8 - 1, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1)


def changed_bytes(content: bytes, generator: random.Random) -> bytes:
    """Changes a few bytes: flips, cuts, repeats, inserts."""
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 1, 2, 5))):
        # Half of them where a file says what it is: at its beginning or end.
        near = min(len(changed), generator.choice((300, 300, 10**9, 10**9)))
        start = generator.choice((0, len(changed) - near))
        start += generator.randrange(near + 1)
        stop = start + generator.choice((0, 1, 1, 4, 8, 200))
        action = generator.randrange(5)
        if action == 0 and start < len(changed):
            changed[start] ^= 1 << generator.randrange(8)
        elif action == 1:
            changed[start:stop] = generator.choice(ODD_BYTES)
        elif action == 2:
            changed[start:start] = changed[start:stop]
        elif action == 3:
            size = generator.choice((1, 2, 4, 8))
            number = generator.choice((*ODD_NUMBERS, 2**40, 2**63, 2**64 - 1))
            order = generator.choice(("big", "little"))
            changed[start : start + size] = (number % 256**size).to_bytes(size, order)
        else:
            del changed[start:stop]
    return bytes(changed)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path to every value inside of a value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def changed_json(content: bytes, generator: random.Random) -> bytes:
    """Changes values of a JSON text, or a few of its bytes."""
    if generator.random() < 0.3:
        return changed_bytes(content, generator)
    value = json.loads(content)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        path = generator.choice(list(places(value)))
        odd = copy.deepcopy(generator.choice(ODD_VALUES))
        if not path:
            value = odd if generator.random() < 0.2 else value
            continue
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        action = generator.random()
        if action < 0.15:
            del parent[path[-1]]
        elif action < 0.3:
            # A value from elsewhere in the file, such as a name that is taken.
            other = value
            for key in generator.choice(list(places(value))):
                other = other[key]
            parent[path[-1]] = copy.deepcopy(other)
        elif action < 0.35:
            for _ in range(generator.choice((100, 900))):
                odd = [odd]
            parent[path[-1]] = odd
            break  # nothing else walks so deep
        else:
            parent[path[-1]] = odd
    return json.dumps(value).encode()


def changed_table(content: bytes, generator: random.Random) -> bytes:
    """Changes cells of a CSV, or a few of its bytes."""
    if generator.random() < 0.3:
        return changed_bytes(content, generator)
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(generator.choice((1, 1, 2, 3))):
        row = generator.choice(rows)
        odd = str(generator.choice(ODD_VALUES)).encode("utf-8", "replace").decode()
        action = generator.random()
        if action < 0.1:
            rows.insert(generator.randrange(len(rows)), list(row))
        elif action < 0.2:
            row.append(odd)
        elif action < 0.4:
            other = generator.choice(rows)
            column = generator.randrange(min(len(row), len(other)))
            row[column] = other[column]
        elif action < 0.5:
            row[generator.randrange(len(row))] = str(generator.randrange(-2, 9))
        else:
            row[generator.randrange(len(row))] = odd
    return "".join(",".join(row) + "\n" for row in rows).encode()


def changed_boxes(content: bytes, generator: random.Random) -> bytes:
    """Changes numbers and sizes of the boxes of an MP4, or puts boxes in twice."""
    if generator.random() < 0.2:
        return changed_bytes(content, generator)
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 4, 10))):
        names = (b"tkhd", b"elst", b"mvhd", b"mdhd", b"stts", b"stsz", b"stco", b"edts")
        names += (b"moov", b"trak", b"hdlr", b"stbl", b"ctts", b"stsd", b"mdat")
        found = changed.find(generator.choice(names))
        if found < 4:
            continue
        start = found - 4
        (size,) = struct.unpack(">I", changed[start : start + 4])
        action = generator.randrange(4)
        if action == 0:
            number = generator.choice(ODD_NUMBERS)
            changed[start : start + 4] = struct.pack(">I", number)
        elif action == 1:
            count = generator.choice((1, 10, 3000))
            changed[start:start] = changed[start : start + min(size, 500)] * count
        elif action == 2:
            empty = b"\0\0\0\x08free" * generator.choice((1, 2000, 200_000))
            changed[start + 8 : start + 8] = empty
        else:
            place = start + 8 + 4 * generator.randrange(max(1, min(size, 120) // 4))
            number = generator.choice(ODD_NUMBERS)
            changed[place : place + 4] = struct.pack(">I", number)
    return bytes(changed)


def changed_zip(content: bytes, generator: random.Random) -> bytes:
    """Changes members of a zip, with right checksums, or a few of its bytes."""
    if generator.random() < 0.4:
        return changed_bytes(content, generator)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = generator.choice(list(members))
    action = generator.randrange(4)
    if action == 0:
        shape = generator.choice(("()", "(-1,)", "(9999999999,)", "(0,)", "(2,2)"))
        kind = generator.choice(("<f4", "|O", "<U4", "|V9", "<M8[s]", "<f4,<f4", "<i8"))
        header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
        text = header.encode() + generator.choice((b"\n", b"(" * 3000, b""))
        length = struct.pack("<H", len(text))
        members[name] = b"\x93NUMPY\x01\0" + length + text + b"\0" * 16
    elif action == 1:
        members[name] = bytes(generator.choice((0, 1, 10**6)))
    elif action == 2:
        del members[name]
    else:
        members[name] = changed_bytes(members[name], generator)
    out = io.BytesIO()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    method = generator.choice((*methods, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(out, "w", method) as archive:
        for one, member in members.items():
            archive.writestr(one, member)
    return out.getvalue()


def changed_png(content: bytes, generator: random.Random) -> bytes:
    """Changes bytes of a PNG, and gives its chunks their lengths and checksums again.

    Otherwise a decoder would not look into most of them.
    """
    if generator.random() < 0.3:
        return changed_bytes(content, generator)
    chunks, at = [], 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    number = generator.randrange(len(chunks))
    kind, data = chunks[number]
    action = generator.randrange(4)
    if action == 0:
        kinds = (b"acTL", b"fcTL", b"fdAT", b"iCCP", b"zTXt", b"PLTE", b"tRNS", kind)
        bomb = b"x\0\0" + zlib.compress(bytes(generator.choice((9, 10**7))))
        data = generator.choice((b"", data, bomb, bytes(26)))
        chunks.insert(number, (generator.choice(kinds), data))
    elif action == 1:
        pixels = changed_bytes(bytes(10 ** generator.randrange(1, 7)), generator)
        chunks[number] = (kind, zlib.compress(pixels))
    elif action == 2:
        del chunks[number]
    else:
        chunks[number] = (kind, changed_bytes(data, generator))
    whole = content[:8]
    for kind, data in chunks:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        whole += struct.pack(">I", len(data)) + kind + data + crc
    return whole


def changed_numbers(content: bytes, generator: random.Random) -> bytes:
    """Changes some of the float32 numbers that a file consists of."""
    odd = (0.0, -0.0, 1e-45, 1e10, 3e38, -3e38, 1.0, 0.5, float("nan"), float("inf"))
    changed = bytearray(content)
    for _ in range(generator.choice((1, 3, 100))):
        at = 4 * generator.randrange(len(changed) // 4)
        count = generator.choice((1, 1, 67, 1000))
        number = struct.pack("<f", generator.choice(odd)) * count
        changed[at : at + len(number)] = number[: len(changed) - at]
    return bytes(changed)
