"""The format: read by a reader of the page alone, and written to the same bytes."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from plain_reader import crc32c, fields, read_feature, read_map, read_shards

GOLDEN = Path(__file__).parent / "golden_shards"


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
    from wlasl_tfrecord.shard_format import clip_proto, clips

    info = clip_proto.ClipInfo(
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
    proto = clip_proto.encode_clip(info, [b"first", b"last"], spec, "jpeg")
    digest = hashlib.sha256(proto).hexdigest()
    assert digest == "435077de4425c2373704ffae05271f3e5cd2126b1b458cae0f637d26c846e6c0"
    clip = dict(read_map(next(fields(proto))[2], read_feature))
    assert clip["wlasl/signer_id"] == [-1]
    assert clip["clip/start/timestamp"] == [100_100]
