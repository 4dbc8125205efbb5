"""A reader made from docs/shard-format.md alone: no TensorFlow, no code of ours.

Whoever has to change `read_shards` here has changed the format: raise its version, in
`index.FORMAT_VERSION` and in docs/shard-format.md.
"""

import csv
import hashlib
import io
import json
import struct

import cv2
import numpy as np


def crc32c_table():
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def masked_crc32c(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def read_varint(data, position):
    value, shift = 0, 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def fields(data):
    """Gives (number, wire type, value) of every field of a message."""
    position = 0
    while position < len(data):
        tag, position = read_varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            value, position = read_varint(data, position)
        else:
            if wire_type == 2:
                size, position = read_varint(data, position)
            else:
                size = {1: 8, 5: 4}[wire_type]
            value = data[position : position + size]
            position += size
        yield number, wire_type, value


def read_feature(data):
    values = []
    for kind, _, message in fields(data):
        for _, wire_type, value in fields(message):
            if kind == 1:
                values.append(bytes(value))
            elif kind == 2:
                values += [v for (v,) in struct.iter_unpack("<f", value)]
            else:
                numbers = [value] if wire_type == 0 else []
                position = 0
                while wire_type == 2 and position < len(value):
                    number, position = read_varint(value, position)
                    numbers.append(number)
                values += [n - 2**64 if n >= 2**63 else n for n in numbers]
    return values


def read_map(data, read_value):
    found = {}
    for _, _, entry in fields(data):
        parts = {number: value for number, _, value in fields(entry)}
        found[bytes(parts[1]).decode()] = read_value(parts.get(2, b""))
    return found


def read_feature_list(data):
    return [read_feature(value) for _, _, value in fields(data)]


def read_record(data, offset):
    """Gives the proto at an offset, its CRC, and where the next record starts."""
    (size,) = struct.unpack_from("<Q", data, offset)
    (length_crc,) = struct.unpack_from("<I", data, offset + 8)
    assert length_crc == masked_crc32c(data[offset : offset + 8])
    proto = data[offset + 12 : offset + 12 + size]
    (crc,) = struct.unpack_from("<I", data, offset + 12 + size)
    assert crc == masked_crc32c(proto)
    return memoryview(proto), crc, offset + 16 + size


def read_shards(directory):
    """Gives split -> clips, each a dict of its context, frames and instants."""
    version = json.loads((directory / "dataset_info.json").read_text())["version"]
    assert version.split(".")[0] == "1"
    index = json.loads((directory / "index.json").read_text())
    shape = (*(index["clip"][k] for k in ("num_frames", "height", "width")), 3)
    labels = (directory / "clip.label.index.labels.txt").read_text().split("\n")
    assert labels == [*index["glosses"], ""]
    splits = {}
    for split, about in index["splits"].items():
        table = (directory / f"wlasl-{split}.index.csv").read_bytes()
        assert hashlib.sha256(table).hexdigest() == about["index_sha256"]
        rows = list(csv.DictReader(io.StringIO(table.decode(), newline="")))
        assert len(rows) == about["num_clips"]
        clips = []
        number = 0
        for shard_index, shard in enumerate(about["shards"]):
            data = (directory / shard["name"]).read_bytes()
            assert len(data) == shard["num_bytes"]
            offset = 0
            for _ in range(shard["num_records"]):
                row = rows[number]
                assert int(row["shard_index"]) == shard_index
                assert int(row["offset_bytes"]) == offset
                proto, crc, offset = read_record(data, offset)
                assert int(row["num_bytes"]) == len(proto)
                assert int(row["crc32c"]) == crc
                clip = read_clip(proto, index["codec"], shape)
                assert int(row["label"]) == clip["clip/label/index"]
                assert row["video_id"].encode() == clip["clip/media_id"]
                assert int(row["signer_id"]) == clip["wlasl/signer_id"]
                distinct = clip["wlasl/num_distinct_frames"]
                assert int(row["num_distinct_frames"]) == distinct
                gloss = index["glosses"][clip["clip/label/index"]]
                assert clip["clip/label/text"] == gloss.encode()
                clips.append(clip)
                number += 1
            assert offset == len(data)
        splits[split] = clips
    return splits


def read_clip(proto, codec, shape):
    parts = {number: value for number, _, value in fields(proto)}
    features = read_map(parts[1], read_feature)
    if codec == "raw":
        pixels = np.frombuffer(features.pop("clip/frames")[0], np.uint8)
        frames = pixels.reshape(shape)
        times = features.pop("image/timestamp")
    else:
        lists = read_map(parts[2], read_feature_list)
        images = [np.frombuffer(v, np.uint8) for (v,) in lists["image/encoded"]]
        frames = np.stack(
            [cv2.imdecode(v, cv2.IMREAD_COLOR)[..., ::-1] for v in images]
        )
        times = [v for (v,) in lists["image/timestamp"]]
    indices = features.pop("wlasl/frame_indices")
    assert len(indices) == len(times) == len(frames) == shape[0]
    clip = {key: value for key, (value,) in features.items()}
    return clip | {"frames": frames, "times": times, "wlasl/frame_indices": indices}
