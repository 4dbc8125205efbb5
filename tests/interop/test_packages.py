"""The packages of other people read our folders, unmodified: bin/test --interop.

Each has an environment of its own, which is made once. The programs beside this file
read a split with one of them; here it is compared with what `ShardReader` reads. DMVR
and Scenic are not on PyPI: tests/end_to_end/test_other_readers.py has their keys.
"""

import dataclasses
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from documented_examples import example, run_alone
from other_environments import STATE, python_of

from wlasl_tfrecord import ShardReader, load_folder
from wlasl_tfrecord.inspection.tfrecord_index import write_tfrecord_index

pytestmark = [
    pytest.mark.skipif(STATE is None, reason="bin/test --interop runs it"),
    pytest.mark.timeout(3600),  # the first call installs gigabytes
]
# One clip of `test` in two shards: one of them is empty.
NUM_CLIPS = {"train": 7, "val": 3, "test": 1}
PAGE = "docs/other-frameworks.md"
INDEX_EXAMPLES = "DALI and PyTorch's tfrecord"


@pytest.fixture(scope="module")
def folders(write_folder, tmp_path_factory):
    """Folders of each codec with `idx` beside them, of the shape of the page."""
    directory = tmp_path_factory.mktemp("interop")
    for codec in ("raw", "jpeg", "png"):
        shape = {"num_frames": 30, "height": 224, "width": 224}
        shards = directory / codec / "shards"
        folder = load_folder(write_folder(shards, NUM_CLIPS, codec=codec, **shape))
        write_tfrecord_index(folder, folder.splits, directory / codec / "idx")
    return directory


def clips_read(program, environment, *arguments, out, before=""):
    """Runs a program of this folder, and returns (label, frames) of each clip."""
    done = subprocess.run(
        [
            python_of(environment),
            Path(__file__).with_name(program),
            *arguments[:2],
            out,
            *arguments[2:],
        ],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        input=before,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(out) as read:
        return list(zip(read["labels"].tolist(), read["frames"]))


def comparable(labels_and_frames):
    """Returns clips in a form that can be sorted and compared bit for bit."""
    return [(x, f.astype(np.uint8).tobytes()) for x, f in labels_and_frames]


def stored_clips(shards, split):
    reader = ShardReader(shards, split)
    return comparable((clip["label"], clip["frames"]) for clip in reader)


def same_clips(read, shards, split):
    """Compares clips in any order, bit for bit."""
    return sorted(comparable(read)) == sorted(stored_clips(shards, split))


@pytest.mark.parametrize("split", NUM_CLIPS)
def test_tfds_reads_every_clip(folders, split, tmp_path):
    shards = folders / "raw" / "shards"
    read = clips_read("tfds_clips.py", "tfds", shards, split, out=tmp_path / "out.npz")
    assert same_clips(read, shards, split)


def garden(shards, split, tmp_path, before="", **options):
    return clips_read(
        "model_garden_clips.py",
        "model-garden",
        shards,
        split,
        json.dumps({"min_image_size": 224, "is_training": False, **options}),
        out=tmp_path / "out.npz",
        before=before,
    )


def levels_off(read, shards, split):
    """Returns by how many levels pixels differ on average, clip by clip in order."""
    expected = ShardReader(shards, split)
    assert [label for label, _ in read] == [clip["label"] for clip in expected]
    frames = [clip["frames"] for clip in expected]
    return np.mean(
        [np.abs(f - e.astype(int)).mean() for (_, f), e in zip(read, frames)]
    )


def test_the_model_garden_reads_every_clip_with_the_settings_of_the_page(
    folders, tmp_path
):
    for split in NUM_CLIPS:
        shards = folders / "png" / "shards"
        read = garden(shards, split, tmp_path)
        assert same_clips(read, shards, split)
    shards = folders / "jpeg" / "shards"
    assert levels_off(garden(shards, "test", tmp_path), shards, "test") < 2
    larger = garden(shards, "test", tmp_path, min_image_size=256)
    assert levels_off(larger, shards, "test") > 2


def test_the_model_garden_stops_to_flip_as_the_page_says(folders, tmp_path):
    shards = folders / "png" / "shards"
    whole = ("min_area_ratio", "max_area_ratio", "min_aspect_ratio", "max_aspect_ratio")
    options = {f"aug_{name}": 1.0 for name in whole} | {"is_training": True}
    before = example("Readers of other projects", PAGE, "preprocess_ops_3d").code
    # In training it takes shards again and again, so that a clip may come twice.
    stored = set(stored_clips(shards, "train"))
    read = set(comparable(garden(shards, "train", tmp_path, before, **options)))
    assert read
    assert read <= stored
    assert not set(comparable(garden(shards, "train", tmp_path, **options))) <= stored


def test_dali_reads_raw_clips_by_our_index_files(folders, tmp_path):
    for split in NUM_CLIPS:
        shards = folders / "raw" / "shards"
        out = tmp_path / f"{split}.npz"
        read = clips_read("dali_clips.py", "dali", shards, split, out=out)
        assert same_clips(read, shards, split)
    shown = example(INDEX_EXAMPLES, PAGE, "nvidia")
    printed = run_alone(shown.code, folders / "raw", python_of("dali"))
    assert printed.splitlines()[-1] == "(4, 30, 224, 224, 3) [0 1 2 0]"


def test_dali_returns_empty_frames_of_images_as_the_page_says(folders, tmp_path):
    shards = folders / "jpeg" / "shards"
    out = tmp_path / "out.npz"
    read = clips_read("dali_clips.py", "dali", shards, "val", out=out)
    assert sorted(label for label, _ in read) == [0, 1, 2]
    assert all(frames.size <= 1 for _, frames in read)


def test_the_index_files_are_those_of_the_tool(folders, tmp_path):
    for codec in ("raw", "jpeg"):
        shards = sorted((folders / codec / "shards").glob("*.tfrecord-*"))
        assert len(shards) == 6
        for shard in shards:
            tool = [python_of("torch"), "-m", "tfrecord.tools.tfrecord2idx"]
            subprocess.run([*tool, shard, tmp_path / "tool.idx"], check=True)
            ours = folders / codec / "idx" / f"{shard.name}.idx"
            assert ours.read_bytes() == (tmp_path / "tool.idx").read_bytes()


def read_by_tfrecord(folders, split, shard_index, out, index=True):
    name = f"wlasl-{split}.tfrecord-{shard_index:05d}-of-00002"
    index_file = str(folders / "raw" / "idx" / f"{name}.idx") if index else ""
    shard = str(folders / "raw" / "shards" / name)
    return clips_read("tfrecord_clips.py", "torch", shard, index_file, out=out)


def test_tfrecord_reads_by_our_index_files(folders, tmp_path):
    out = tmp_path / "out.npz"
    read = [
        clip
        for shard_index in range(2)
        for clip in read_by_tfrecord(folders, "train", shard_index, out)
    ]
    assert same_clips(read, folders / "raw" / "shards", "train")
    without = read_by_tfrecord(folders, "train", 0, out, index=False)
    assert len(without) == 2 * 3  # each of two workers reads all
    shown = example(INDEX_EXAMPLES, PAGE, "tfrecord.torch")
    printed = run_alone(shown.code, folders / "raw", python_of("torch"))
    assert sorted(json.loads(printed)) == [0, 1, 2]


@pytest.mark.parametrize("shard_index", [0, 1])  # of 0 and of 1 record
def test_tfrecord_fails_at_small_shards_as_the_page_says(
    folders, tmp_path, shard_index
):
    with pytest.raises(AssertionError, match="IndexError: too many indices for array"):
        read_by_tfrecord(folders, "test", shard_index, tmp_path / "out.npz")


@pytest.mark.parametrize("heading", ["PyTorch", "JAX", "grain, resumed exactly"])
def test_an_example_without_tensorflow_runs(folders, heading, tmp_path):
    shown = example(heading, PAGE)
    name = {"PyTorch": "torch", "JAX": "jax"}.get(heading, "grain")
    (tmp_path / "shards").symlink_to(folders / "jpeg" / "shards")
    code = shown.code
    if name == "grain":
        code += (
            "for _ in range(3):\n"
            "    expected, record = next(first)['record'], next(resumed)['record']\n"
            "    assert (expected == record).all()\n"
        )
    assert dataclasses.replace(shown, code=code).packages <= {
        *("torch", "jax", "grain", "numpy", "wlasl_tfrecord")
    }
    assert run_alone(code, tmp_path, python_of(name))
