import multiprocessing
import os
import pickle
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from checkout import CHECKOUT
from drawn_shards import drawn_frames, drawn_landmarks, rewrite

from wlasl_tfrecord import input_fn
from wlasl_tfrecord.errors import RecordError, ShardFolderError
from wlasl_tfrecord.input_pipeline import record_frames, shard_bytes
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.shard_format import clip_proto, record_bytes
from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records
from wlasl_tfrecord.shard_format.tfrecord import header

SHAPE = (5, 16, 24, 3)
NUM_CLIPS = 9


@pytest.fixture(scope="module", params=["raw", "jpeg", "png"])
def shards(request, write_folder, tmp_path_factory):
    directory = tmp_path_factory.mktemp(request.param) / "shards"
    counts = {"train": NUM_CLIPS, "val": 3}
    return write_folder(directory, counts, codec=request.param, num_shards=3)


@pytest.fixture
def copied(shards, tmp_path):
    """The folder, to damage."""
    return shutil.copytree(shards, tmp_path / "copied")


def graph_frames(shards):
    batches = input_fn(shards, "train", 3, training=False, reader="graph")
    return np.concatenate([frames for frames, _ in batches])


def test_a_batch_has_the_frames_that_the_graph_reads(shards):
    reader = ShardReader(shards)
    assert len(reader) == NUM_CLIPS
    order = [4, 0, 8, 4, -1]
    frames = reader.read_batch(order)
    assert frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, graph_frames(shards)[order])
    np.testing.assert_array_equal(frames, reader.read_batch(np.array(order)))


def test_a_clip_comes_with_what_the_index_says_of_it(shards):
    clip = ShardReader(shards, "val")[np.int64(2)]
    frames = clip.pop("frames")
    assert frames.shape == SHAPE
    assert np.abs(frames.astype(int) - drawn_frames(2, SHAPE)).mean() < 3
    assert clip == {
        "record": 2,
        "label": 2,
        "gloss": "computer",
        "video_id": "val00002",
        "signer_id": 2,
        "num_distinct_frames": 5,
    }
    assert ShardReader(shards, "val")[-1]["record"] == 2


def test_a_reader_is_a_sequence_that_ends(shards):
    assert [clip["record"] for clip in ShardReader(shards, "val")] == [0, 1, 2]
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"no record {index}: val has 3"):
            ShardReader(shards, "val")[index]


def test_a_batch_is_read_into_the_memory_that_is_given(shards):
    reader = ShardReader(shards)
    out = np.zeros((2, *SHAPE), np.uint8)
    assert reader.read_batch([1, 2], out=out) is out
    np.testing.assert_array_equal(out, reader.read_batch([1, 2]))


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((1, *SHAPE), np.uint8),
        np.zeros((2, *SHAPE), np.float32),
        np.zeros((2, 5, 16, 3, 24), np.uint8).transpose(0, 1, 2, 4, 3),
    ],
)
def test_memory_of_another_kind_is_refused(shards, out):
    with pytest.raises(ValueError, match=r"contiguous uint8 array of shape \(2, 5, 16"):
        ShardReader(shards).read_batch([0, 1], out=out)


def damage(directory, record, at, content):
    """Writes bytes into a record; `at` counts from its start, or from its end."""
    folder = load_folder(directory)
    records = load_records(folder, "train")
    shard = folder.split_shards("train")[records.shard_indices[record]]
    path = folder.shard_path(shard)
    at += 0 if at >= 0 else int(records.num_bytes[record]) + 16
    with open(path, "r+b") as file:
        file.seek(int(records.offsets[record]) + at)
        file.write(content)
    return path


@pytest.mark.parametrize(
    ("at", "content"),
    [
        # Length, its checksum, the first key, the frames, the last key, the checksum.
        *[(0, b"\xff"), (9, b"\xff\xff"), (20, b"\xff"), (700, b"\xff\xfe\xff")],
        *[(-9, b"\xff"), (-3, b"\xff\xfe")],
        # A length of 2**40 with the right checksum.
        (0, header(2**40)),
    ],
)
def test_a_damaged_record_is_named_and_costs_no_other(copied, at, content):
    path = damage(copied, 4, at, content)
    reader = ShardReader(copied)
    with pytest.raises(RecordError) as caught:
        reader.read_batch([3, 4, 5])
    assert re.fullmatch(
        rf"{path}: record 1 at byte \d+, video_id train00004, is damaged or not the "
        "clip that the index says",
        str(caught.value),
    )
    reader.read_batch([3, 5])


def test_a_record_that_was_whole_before_is_checked_again(copied):
    reader = ShardReader(copied)
    expected = reader.read_batch([4])
    np.testing.assert_array_equal(reader.read_batch([4]), expected)
    damage(copied, 4, 700, b"\xff\xfe\xff")
    with pytest.raises(RecordError, match="video_id train00004, is damaged"):
        reader.read_batch([4])


def test_memory_to_work_in_is_used_again(copied):
    reader = ShardReader(copied)
    reader.read_batch(range(NUM_CLIPS))
    damage(copied, 4, -3, b"\xff\xfe")
    with pytest.raises(RecordError):
        reader.check_record(4)
    assert len(reader._frames._unused) == 1


def test_a_record_of_another_shape_is_damaged(copied):
    def shorten(number, proto):
        if number != 2:
            return
        if hasattr(proto, "feature_lists"):
            del proto.feature_lists.feature_list["image/encoded"].feature[0]
        else:
            proto.features.feature["clip/frames"].bytes_list.value[0] = b"x" * 99

    rewrite(copied, shorten)
    with pytest.raises(RecordError, match="video_id train00002, is damaged"):
        ShardReader(copied).read_batch([2])
    ShardReader(copied).read_batch([1])


def test_an_image_that_reaches_past_its_record_is_damage(
    write_folder, tmp_path, monkeypatch
):
    directory = write_folder(tmp_path / "shards", {"train": 1}, codec="jpeg")
    past = [range(9, 2**69)] * SHAPE[0]
    monkeypatch.setattr(record_frames, "find_images", lambda *_: past)
    with pytest.raises(RecordError, match="video_id train00000, is damaged"):
        ShardReader(directory).read_batch([0])


def test_frames_behind_many_other_keys_are_found(write_folder, tmp_path):
    # As a writer that sorts nothing may put them.
    directory = write_folder(tmp_path / "shards", {"train": 3})

    def add_keys(_, proto):
        for number in range(90):
            name = f"a/long/key/{number:040d}"
            proto.features.feature[name].bytes_list.value.append(b"x" * 30)

    rewrite(directory, add_keys)
    frames = ShardReader(directory).read_batch([2])[0]
    np.testing.assert_array_equal(frames, drawn_frames(2, SHAPE))


@pytest.mark.parametrize("codec", ["raw", "png"])
def test_landmarks_come_with_the_frames_and_without_them(write_folder, tmp_path, codec):
    directory = write_folder(tmp_path / "shards", codec=codec, landmarks=True)
    reader = ShardReader(directory)
    # Twice: the second time the reader knows where the frames lie.
    for _ in range(2):
        clip = reader[4]
        np.testing.assert_array_equal(clip["landmarks"], drawn_landmarks(4, 5))
        np.testing.assert_array_equal(clip["frames"], drawn_frames(4, SHAPE))
    alone = reader.read_landmarks([4, -1, 0])
    assert alone.dtype == np.float32
    for landmarks, number in zip(alone, (4, 6, 0), strict=True):
        np.testing.assert_array_equal(landmarks, drawn_landmarks(number, 5))


def test_landmarks_before_the_frames_are_found(write_folder, tmp_path, monkeypatch):
    # As a writer that sorts nothing may put them: here a key of the frames sorts last.
    monkeypatch.setattr(clip_proto, "FRAMES_KEY", "zz/frames")
    monkeypatch.setattr(record_bytes, "FRAMES_KEY", "zz/frames")
    directory = write_folder(tmp_path / "shards", {"train": 3}, landmarks=True)
    clip = ShardReader(directory)[2]
    np.testing.assert_array_equal(clip["landmarks"], drawn_landmarks(2, 5))
    np.testing.assert_array_equal(clip["frames"], drawn_frames(2, SHAPE))


def test_a_folder_without_landmarks_has_none(shards):
    reader = ShardReader(shards)
    assert "landmarks" not in reader[0]
    with pytest.raises(ShardFolderError, match="has no landmarks; run bin/shard --lan"):
        reader.read_landmarks([0])


def test_damaged_landmarks_are_damage(write_folder, tmp_path):
    directory = write_folder(tmp_path / "shards", {"train": 3}, landmarks=True)

    def spoil(number, proto):
        if number == 1:
            values = proto.features.feature["pose/region/point/x"].float_list
            values.value[0] = float("inf")

    rewrite(directory, spoil)
    reader = ShardReader(directory)
    for read in (reader.__getitem__, lambda record: reader.read_landmarks([record])):
        with pytest.raises(RecordError, match="video_id train00001, is damaged"):
            read(1)
        read(2)


def test_a_file_that_vanishes_or_is_none_is_named(copied):
    reader = ShardReader(copied)
    folder = load_folder(copied)
    path = folder.shard_path(folder.split_shards("train")[0])
    os.remove(path)
    os.mkfifo(path)  # opening it would wait for a writer
    with pytest.raises(RecordError, match=f"^{re.escape(path)}: record 0 at byte 0"):
        reader.read_batch([0])
    os.remove(path)
    with pytest.raises(RecordError, match=f"^{re.escape(path)}: record 1"):
        reader.read_batch([1])


def test_a_reader_can_be_pickled(shards):
    reader = ShardReader(shards)
    expected = reader.read_batch(range(NUM_CLIPS))
    again = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(again.read_batch(range(NUM_CLIPS)), expected)


def run(code):
    """Runs a program of its own: TensorFlow, which is loaded here, cannot be forked."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_reader_is_forked_while_threads_read_with_it(shards):
    code = f"""
import os, sys, threading
from wlasl_tfrecord import ShardReader
reader = ShardReader({str(shards)!r})
expected = [int(reader.read_batch([index]).sum()) for index in range(len(reader))]
stop, wrong = threading.Event(), []

def read():
    while not stop.is_set():
        got = [int(reader.read_batch([index]).sum()) for index in range(len(reader))]
        wrong.extend([] if got == expected else [got])

threads = [threading.Thread(target=read) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(10):
    child = os.fork()
    if child == 0:
        got = [int(reader.read_batch([index]).sum()) for index in range(len(reader))]
        os._exit(got != expected)
    wrong.extend(filter(None, [os.waitpid(child, 0)[1]]))
stop.set()
for thread in threads:
    thread.join()
sys.exit(bool(wrong))
"""
    run(code)


def test_a_reader_needs_numpy_and_the_decoders_alone(shards):
    code = f"""
import sys
before = set(sys.modules)
from wlasl_tfrecord import ShardReader
ShardReader({str(shards)!r})[0]
print(*{{name.split(".")[0] for name in set(sys.modules) - before}})
"""
    loaded = set(run(code).split()) - sys.stdlib_module_names
    # What Cython makes of simplejpeg has a module of its own.
    others = {name for name in loaded if not name.startswith(("cython", "_cython"))}
    # The checksum is awscrt's where that is installed.
    others -= {"crc32c", "awscrt", "_awscrt"}
    assert others == {"wlasl_tfrecord", "numpy", "cv2", "simplejpeg"}


def test_a_process_that_is_started_afresh_reads_the_same(shards):
    reader = ShardReader(shards)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        clips = pool.map(reader.__getitem__, [2, 7])
    for clip in clips:
        np.testing.assert_array_equal(
            clip["frames"], reader.read_batch([clip["record"]])[0]
        )


def test_threads_share_a_reader_and_few_files(shards, monkeypatch):
    monkeypatch.setattr(shard_bytes, "MAX_OPEN_FILES", 1)
    reader = ShardReader(shards)
    expected = reader.read_batch(range(NUM_CLIPS))
    before = len(os.listdir("/proc/self/fd"))

    def read(seed):
        most = 0
        for index in np.random.default_rng(seed).permutation(NUM_CLIPS):
            np.testing.assert_array_equal(
                reader.read_batch([index])[0], expected[index]
            )
            most = max(most, len(os.listdir("/proc/self/fd")))
        return most

    with ThreadPoolExecutor(4) as pool:
        most = max(pool.map(read, range(20)))
    # One that is kept, and one in the hands of each thread, with its list of files.
    assert most <= before + 1 + 2 * 4
    files = len(os.listdir("/proc/self/fd"))
    reader._shards._open.cache_clear()
    assert len(os.listdir("/proc/self/fd")) == files - 1


def test_reading_ahead_changes_nothing_that_is_read(copied):
    reader = ShardReader(copied)
    expected = reader.read_batch([0, 1])
    folder = load_folder(copied)
    os.remove(folder.shard_path(folder.split_shards("train")[2]))
    reader = ShardReader(folder)
    reader.read_ahead(np.arange(NUM_CLIPS))
    np.testing.assert_array_equal(reader.read_batch([0, 1]), expected)


def test_a_folder_on_another_machine_is_refused(shards, tmp_path):
    # TensorFlow opens a file:// URL as it opens gs://.
    with pytest.raises(ShardFolderError, match=r"is read by TensorFlow alone; copy it"):
        ShardReader(f"file://{shards}")
    with pytest.raises(ValueError, match='reader="direct" cannot read file://'):
        input_fn(f"file://{shards}", reader="direct")
    remote = input_fn(f"file://{shards}", "train", 3, training=False)
    local = input_fn(shards, "train", 3, training=False)
    for ours, theirs in zip(local, remote, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, ours, theirs)


def test_a_reader_that_is_not_there_is_refused(shards):
    with pytest.raises(ValueError, match="reader must be one of direct, graph, got 'x"):
        input_fn(shards, reader="x")  # pyright: ignore
