"""A reader made from docs/shard-format.md alone: no TensorFlow, no code of ours.

Whoever has to change `read_shards` here has changed the format: raise its version, in
`index.FORMAT_VERSION` and in docs/shard-format.md.
"""

import csv
import hashlib
import io
import json
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

GOLDEN = Path(__file__).parent / "golden_shards"


# The reader


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


# Every key and its type, as the document lists them.
CONTEXT = {
    "clip/label/index": int,
    "clip/label/text": bytes,
    "clip/label/string": bytes,
    "clip/media_id": bytes,
    "clip/start/timestamp": int,
    "clip/end/timestamp": int,
    "example/id": bytes,
    "example/dataset_name": bytes,
    "image/format": bytes,
    "image/channels": int,
    "image/colorspace": bytes,
    "image/height": int,
    "image/width": int,
    "image/frame_rate": float,
    "wlasl/signer_id": int,
    "wlasl/frame_indices": list,
    "wlasl/num_distinct_frames": int,
    "wlasl/range_rule": bytes,
    "wlasl/source/frame_rate": float,
    "wlasl/source/num_frames": int,
    "wlasl/source/sha256": bytes,
}


def test_the_reader_knows_the_checksum():
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("codec", ["raw", "jpeg", "png"])
def test_a_reader_made_from_the_document_reads_a_folder(tmp_path, write_folder, codec):
    from drawn_shards import drawn_frames

    directory = write_folder(tmp_path / "shards", {"train": 5, "val": 2}, codec=codec)
    splits = read_shards(directory)
    assert {split: len(clips) for split, clips in splits.items()} == {
        "train": 5,
        "val": 2,
    }
    for number, clip in enumerate(splits["train"]):
        types = {k: type(v) for k, v in clip.items() if k not in ("frames", "times")}
        assert types == CONTEXT
        assert clip["image/format"] == codec.upper().encode()
        assert clip["times"] == [0, 40_000, 80_000, 120_000, 160_000]
        expected = drawn_frames(number, (5, 16, 24, 3))
        difference = np.abs(clip["frames"].astype(int) - expected)
        # The fixture's JPEG quality; the other codecs are exact.
        assert difference.mean() < 4 if codec == "jpeg" else not difference.any()


@pytest.mark.parametrize("codec", ["raw", "jpeg", "png"])
def test_a_reader_made_from_the_document_reads_what_bin_shard_wrote(
    tmp_path, numbered_video, frame_number, codec
):
    from wlasl_tfrecord.cli.shard import main

    for k in range(3):
        numbered_video(tmp_path / "src" / "train" / "book" / f"{k}.mp4", 20 + 20 * k)
    numbered_video(tmp_path / "src" / "val" / "book" / "v.mp4", 7, fps=50.0)
    out = tmp_path / "shards"
    arguments = ["--src", tmp_path / "src", "--out", out, "--codec", codec]
    arguments += ["--num-frames", "10", "--size", "112", "--workers", "1"]
    assert main([str(argument) for argument in arguments]) == 0
    splits = read_shards(out)
    assert len(splits["train"]) == 3
    for clip in [*splits["train"], *splits["val"]]:
        numbers = [frame_number(frame) for frame in clip["frames"]]
        assert numbers == clip["wlasl/frame_indices"]
        assert numbers[0] == 0
        assert numbers[-1] == clip["wlasl/source/num_frames"] - 1
        assert clip["wlasl/num_distinct_frames"] == len(set(numbers))
        path = tmp_path / "src" / clip["clip/media_id"].decode()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert clip["wlasl/source/sha256"].decode() == digest
        assert clip["clip/end/timestamp"] == round(
            clip["wlasl/source/num_frames"] / clip["wlasl/source/frame_rate"] * 1e6
        )
    # The order of section 9.
    keys = [section_9_key(clip["clip/media_id"]) for clip in splits["train"]]
    assert keys == sorted(keys)
    for split, about in json.loads((out / "index.json").read_text())["splits"].items():
        shards = iter(splits[split])
        for shard_index, shard in enumerate(about["shards"]):
            for _ in range(shard["num_records"]):
                key = section_9_key(next(shards)["clip/media_id"])
                assert key * len(about["shards"]) >> 64 == shard_index


def section_9_key(video_id, seed=0):
    key = f"wlasl:{seed}".encode("ascii")
    digest = hashlib.blake2b(video_id, digest_size=8, key=key).digest()
    return int.from_bytes(digest, "big")


# The bytes stay


def test_the_golden_folder_is_written_again_byte_for_byte(tmp_path, write_folder):
    # Another byte is another format: raise its version, or keep the byte.
    directory = write_folder(
        tmp_path / "shards", {"train": 3, "val": 1}, num_frames=2, height=2, width=3
    )
    written = {path.name: path.read_bytes() for path in directory.iterdir()}
    golden = {path.name: path.read_bytes() for path in GOLDEN.iterdir()}
    assert sorted(written) == sorted(golden)
    for name, content in golden.items():
        assert written[name] == content, name


def test_the_golden_folder_is_read_as_ever():
    clips = read_shards(GOLDEN)["train"]
    assert [clip["clip/media_id"] for clip in clips] == [
        b"train00000",
        b"train00001",
        b"train00002",
    ]
    assert clips[1]["frames"].tolist() == [
        [[[7, 11, 5], [7, 12, 5], [7, 13, 5]], [[8, 11, 5], [8, 12, 5], [8, 13, 5]]],
        [
            [[27, 16, 5], [27, 17, 5], [27, 18, 5]],
            [[28, 16, 5], [28, 17, 5], [28, 18, 5]],
        ],
    ]
    assert clips[1]["times"] == [0, 40_000]


def test_the_bytes_of_a_sequence_example_stay():
    # The images are stand-ins, so that no image library decides the digest.
    from wlasl_tfrecord import clips, example_protos

    info = example_protos.ClipInfo(
        video_id="00335",
        gloss="book",
        label=7,
        signer_id=-1,
        source=clips.ClipSource(
            video_fps=29.97,
            num_video_frames=64,
            sign=clips.SignRange(3, 60, "cut"),
            frame_indices=(3, 59),
            sha256="0" * 64,
        ),
    )
    spec = clips.ClipSpec(num_frames=2, height=4, width=4)
    proto = example_protos.encode_clip(info, [b"first", b"last"], spec, "jpeg")
    digest = hashlib.sha256(proto).hexdigest()
    assert digest == "435077de4425c2373704ffae05271f3e5cd2126b1b458cae0f637d26c846e6c0"
    clip = dict(read_map(next(fields(proto))[2], read_feature))
    assert clip["wlasl/signer_id"] == [-1]
    assert clip["clip/start/timestamp"] == [100_100]
