"""The input side by side with what others use: same clips, same cores, one run.

    pip install '.[bench,fast]'
    taskset -c 0,1 python benchmarks/input.py --raw shards-raw/ --jpeg shards-jpeg/

Both folders hold the same clips, written by `bin/shard --codec raw` and `--codec jpeg`.
The peers' own formats are written beside them, from the very bytes of the jpeg folder,
into a temporary directory. Every contestant gives batches of uint8 [B, T, H, W, 3].
A round measures each of them once, and what is compared are the rates of one round:
the table has medians over the rounds, and the lowest and highest of each ratio.

"augmented" is the crop, stretch and time jitter of `AugmentConfig()`, for TensorFlow's
peers by the operations of `augment_clip`, for Python's by OpenCV. "cold" drops the
shards from the page cache before each turn. `--only` takes a few rows: with all of them
a round takes two minutes.
"""

import argparse
import json
import os
import pickle
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import simplejpeg
import tensorflow as tf

from wlasl_tfrecord import input_fn, load_folder
from wlasl_tfrecord.input_pipeline import hardware_limit
from wlasl_tfrecord.input_pipeline.augment import AugmentConfig, augment_clip
from wlasl_tfrecord.input_pipeline.clip_change import ClipChange, write_changed
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.shard_format import layout, shard_folder
from wlasl_tfrecord.shard_format.clip_proto import FRAMES_KEY, ID_KEY
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.decode_frames import decode_frames
from wlasl_tfrecord.shard_format.folder_files import folder_files
from wlasl_tfrecord.shard_format.parsing import parse_clip, parse_frames, read_record
from wlasl_tfrecord.shard_format.record_table import Records
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records
from wlasl_tfrecord.shard_format.tfrecord import FRAME_BYTES, masked_crc

Contestant = Callable[[], Iterator]

TURBO = "jpeg: libjpeg-turbo, cores x one thread"

# As many as WLASL has instances, of which the first batch does not read more for it.
WLASL_CLIPS = 21_000


@dataclass(frozen=True)
class Turn:
    """What one contestant did in one round.

    Attributes:
        clips_per_second: Clips a second of wall-clock time.
        cpu_ms_per_clip: CPU time of a clip, all cores together, in milliseconds.
        others: Which part of all cores other processes took meanwhile.
    """

    clips_per_second: float
    cpu_ms_per_clip: float
    others: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", required=True)
    parser.add_argument("--jpeg", required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--clips", type=int, default=160, help="that peers get")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--retries",
        type=int,
        default=0,
        help="of a turn while which other processes took over a twentieth of the cores",
    )
    parser.add_argument(
        "--only",
        default="",
        help="rows with one of these in their name, or, before a $, at its end",
    )
    parser.add_argument("--first-batch", action="store_true", help="measure only that")
    parser.add_argument("--json", action="store_true", help="print every turn as JSON")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    raw, jpeg = load_folder(arguments.raw), load_folder(arguments.jpeg)
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.first_batch:
            _write_many_clips(Path(scratch) / "many")
            seconds = [_first_batch(scratch) for _ in range(arguments.rounds)]
            print(
                f"first batch of {WLASL_CLIPS} clips: {median(seconds):.2f} s after "
                f"the call ({min(seconds):.2f} to {max(seconds):.2f})"
            )
            return 0
        contestants = _contestants(raw, jpeg, arguments, Path(scratch))
        wanted = arguments.only.split(",")
        chosen = {
            name: start
            for name, start in contestants.items()
            if any(
                word in name or (word[-1:] == "$" and name.endswith(word[:-1]))
                for word in wanted
            )
        }
        turns = _rounds(chosen, (raw, jpeg), arguments)
    if arguments.json:
        told = {name: [asdict(turn) for turn in row] for name, row in turns.items()}
        print(json.dumps({"setting": _setting(arguments), "turns": told}, indent=2))
        return 0
    _print_tables(turns, raw.clip.num_bytes, arguments)
    return 0


def _rounds(
    contestants: dict[str, Contestant],
    folders: tuple[ShardFolder, ...],
    arguments: argparse.Namespace,
) -> dict[str, list[Turn]]:
    """Measures every contestant once a round."""
    turns: dict[str, list[Turn]] = {name: [] for name in contestants}
    for folder in folders:
        _warm(folder, arguments.split)
    for _ in range(arguments.rounds):
        for name, start in contestants.items():
            cold = "cold" in name
            if cold:
                for folder in folders:
                    _chill(folder, arguments.split)
            turn = _undisturbed(start, arguments, warm_up=not cold)
            turns[name].append(turn)
            print(
                f"{name}: {turn.clips_per_second:.0f} clips/s, "
                f"{turn.cpu_ms_per_clip:.2f} ms; others {turn.others:.0%}",
                file=sys.stderr,
            )
            if cold:
                for folder in folders:
                    _warm(folder, arguments.split)
    return turns


def _undisturbed(start: Contestant, arguments: argparse.Namespace, **how: bool) -> Turn:
    """Measures a contestant, again if other processes took much of the cores."""
    turn = _turn(start, arguments, **how)
    for _ in range(arguments.retries):
        if turn.others < 0.05:
            break
        again = _turn(start, arguments, **how)
        turn = min(turn, again, key=lambda one: one.others)
    return turn


def _warm(folder: ShardFolder, split: str) -> None:
    """Reads the shards into the page cache: what is measured is not the disk."""
    for shard in folder.split_shards(split):
        with open(folder.shard_path(shard), "rb") as file:
            while file.read(1 << 24):
                pass


def _chill(folder: ShardFolder, split: str) -> None:
    """Drops the shards from the page cache."""
    for shard in folder.split_shards(split):
        with open(folder.shard_path(shard), "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _contestants(
    raw: ShardFolder, jpeg: ShardFolder, arguments: argparse.Namespace, scratch: Path
) -> dict[str, Contestant]:
    """Names what is measured; says which peers are not installed and left out."""
    split, size, num_clips = arguments.split, arguments.batch_size, arguments.clips
    contestants: dict[str, Contestant] = {}
    for folder in (raw, jpeg):
        codec = folder.codec
        limit = "bare reads" if codec == "raw" else "OpenCV decoding"
        contestants[f"{codec}: limit, {limit}"] = _limit(folder, arguments)
        contestants[f"{codec}: {limit}, one thread"] = _limit(folder, arguments, 1)
        contestants |= _ours(folder, arguments)
        for name, augment in (("", False), (", augmented", True)):
            contestants[f"{codec}: tf.data, not shuffled{name}"] = _of_dataset(
                partial(_classical, folder, split, size, augment)
            )
    clips = list(_encoded_clips(jpeg, split, num_clips))
    shape = jpeg.clip.shape
    contestants[TURBO] = _bare_turbo(clips, size, None)
    contestants["jpeg: libjpeg-turbo into memory"] = _bare_turbo(clips, size, shape)
    _write_folders(clips, scratch / "folders")
    contestants["jpeg: Python generator over folders"] = _of_dataset(
        partial(_generator, scratch / "folders", shape, size)
    )
    for name, add in (
        ("tensorflow-datasets", _add_tfds),
        ("webdataset", _add_webdataset),
        ("grain", _add_grain),
    ):
        try:
            contestants |= add(clips, shape, size, scratch)
        except ImportError as error:
            print(f"without {name}: {error}", file=sys.stderr)
            continue
        if name == "grain":
            for folder in (raw, jpeg):
                contestants |= _grain_of_shards(folder, arguments)
    return contestants


def _ours(folder: ShardFolder, arguments: argparse.Namespace) -> dict[str, Contestant]:
    """The ways of `input_fn`; "graph" is the only one that it had at first."""
    ways: dict[str, dict[str, Any]] = {
        "input_fn": {"augment": False},
        "input_fn, sequential": {"augment": False, "order": "sequential"},
        "input_fn, graph": {"augment": False, "reader": "graph"},
        "input_fn, augmented": {"augment": True},
        "input_fn, graph, augmented": {"augment": True, "reader": "graph"},
        "cold, shuffled": {"augment": False},
        "cold, sequential": {"augment": False, "order": "sequential"},
    }

    def start(options: dict[str, Any]) -> Iterator:
        batches = input_fn(
            folder,
            arguments.split,
            arguments.batch_size,
            training=True,
            num_epochs=None,
            **options,
        )
        return (frames for frames, _ in batches)

    return {
        f"{folder.codec}: {name}": partial(start, options)
        for name, options in ways.items()
    }


def _of_dataset(make: Callable[[], tf.data.Dataset]) -> Contestant:
    return lambda: iter(make())


def _limit(
    folder: ShardFolder, arguments: argparse.Namespace, num_threads: int | None = None
) -> Contestant:
    """The limit that `bin/bench input` names; its batches are rates, not frames."""

    def start() -> Iterator:
        while True:
            yield hardware_limit.measure_limit(
                folder,
                arguments.split,
                seconds=arguments.seconds,
                num_threads=num_threads,
            )

    return start


def _turn(start: Contestant, arguments: argparse.Namespace, *, warm_up: bool) -> Turn:
    """Measures a contestant once; without a warm-up it is timed from its start."""
    clock = _Clock()
    batches = iter(start())
    first = next(batches) if warm_up else None
    if isinstance(first, hardware_limit.Rate):
        _, _, others = clock.passed()
        return Turn(first.clips_per_second, first.cpu_ms_per_clip, others)
    if warm_up:
        # Until the buffers have been full, and their memory is in use again.
        for _ in range(11):
            next(batches)
        clock = _Clock()
    clips = 0
    while clock.passed()[0] < arguments.seconds:
        batch = next(batches)
        assert batch.shape[0] == arguments.batch_size, batch.shape
        clips += arguments.batch_size
    wall, cpu, others = clock.passed()
    return Turn(clips / wall, cpu / clips * 1e3, others)


class _Clock:
    """What has passed since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()
        self._machine = _machine_seconds()

    def passed(self) -> tuple[float, float, float]:
        """Returns seconds, CPU seconds, and the part of all cores that others took."""
        wall = time.perf_counter() - self._wall
        cpu = _cpu_seconds() - self._cpu
        others = _machine_seconds() - self._machine - cpu
        return wall, cpu, others / wall / (os.cpu_count() or 1)


def _machine_seconds() -> float:
    """Returns the CPU seconds of all processes, since the machine started."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, *interrupts = map(int, file.readline().split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _classical(
    folder: ShardFolder, split: str, batch_size: int, augment: bool
) -> tf.data.Dataset:
    """The pipeline of TensorFlow's own guides, without any shuffle."""
    paths = [folder.shard_path(shard) for shard in folder.split_shards(split)]

    def decode(serialized: tf.Tensor) -> tf.Tensor:
        parsed = parse_clip(serialized, folder.clip, folder.codec)
        frames = decode_frames(parsed, folder.clip, folder.codec)
        return _augmented(frames) if augment else frames

    return (
        tf.data.Dataset.from_tensor_slices(paths)
        .repeat()
        .interleave(
            tf.data.TFRecordDataset,
            cycle_length=4,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=False,
        )
        .map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def _augmented(frames: tf.Tensor) -> tf.Tensor:
    """Changes a clip by operations of TensorFlow, another way each time."""
    seed = tf.random.uniform([2], maxval=2**31 - 1, dtype=tf.int32)
    return augment_clip(frames, tf.cast(seed, tf.int64), AugmentConfig())


def _changed(frames: np.ndarray) -> np.ndarray:
    """Changes a clip by OpenCV, another way each time, as a Python input would."""
    num_frames, height, width, _ = frames.shape
    config, rng = AugmentConfig(), np.random.default_rng()
    crop_height = round(height * rng.uniform(config.min_scale, 1))
    crop_width = min(width, round(crop_height * rng.uniform(1 / 1.1, 1.1)))
    top = int(rng.integers(height - crop_height + 1))
    left = int(rng.integers(width - crop_width + 1))
    jitter = rng.uniform(-config.time_jitter, config.time_jitter, num_frames)
    shown = np.arange(num_frames) + jitter
    shown = np.maximum.accumulate(shown.round().clip(0, num_frames - 1))
    change = ClipChange(
        frame_indices=tuple(shown.astype(int).tolist()),
        crop=(top, left, crop_height, crop_width),
    )
    out = np.empty_like(frames)
    write_changed(frames.__getitem__, change, out, np.empty_like(frames[0]))
    return out


def _encoded_clips(
    folder: ShardFolder, split: str, num_clips: int
) -> Iterator[list[bytes]]:
    """Gives the images of the first clips of a jpeg folder."""
    records = load_records(folder, split)
    shards = folder.split_shards(split)
    for record in range(min(num_clips, len(records))):
        path = folder.shard_path(shards[records.shard_indices[record]])
        data = read_record(tf.constant(path), tf.constant(records.offsets[record]))
        yield list(parse_frames(data, folder.clip, folder.codec)[0].numpy())


def _decode(images: Iterable[bytes]) -> np.ndarray:
    """Decodes one clip with OpenCV, as Python inputs do: uint8 [T, H, W, 3]."""
    return np.stack([_decode_image(image) for image in images])


def _decode_image(image: bytes) -> np.ndarray:
    """Decodes one image: uint8 [H, W, 3], RGB."""
    frame = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert frame is not None
    return frame


def _bare_turbo(
    clips: list[list[bytes]], batch_size: int, shape: tuple[int, ...] | None
) -> Contestant:
    """The limit in pure form: threads that do nothing but decode, one a core.

    Without a shape each image goes to the same place, which stays in the processor's
    cache; with that of a clip, to memory as large as four batches.
    """

    def start() -> Iterator:
        num_places = 4 * batch_size
        places = None
        if shape is not None:
            places = np.zeros((num_places, *shape), np.uint8)
            places.fill(1)

        def decode(step: int) -> None:
            images = clips[step % len(clips)]
            for number, image in enumerate(images):
                place = None if places is None else places[step % num_places, number]
                simplejpeg.decode_jpeg(image, "RGB", fastdct=False, buffer=place)

        pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        waiting = deque(pool.submit(decode, step) for step in range(num_places))
        step = len(waiting)
        while True:
            for _ in range(batch_size):
                waiting.popleft().result()
                waiting.append(pool.submit(decode, step))
                step += 1
            yield np.empty(batch_size, np.uint8)

    return start


def _write_folders(clips: list[list[bytes]], root: Path) -> None:
    """Writes what "extract your frames first" leaves behind."""
    for number, images in enumerate(clips):
        (root / f"{number:05d}").mkdir(parents=True)
        for frame, image in enumerate(images):
            (root / f"{number:05d}" / f"{frame:03d}.jpg").write_bytes(image)


def _generator(root: Path, shape: tuple[int, ...], batch_size: int) -> tf.data.Dataset:
    """The usual tutorial: a Python generator that reads and decodes frame by frame."""
    directories = sorted(root.iterdir())
    rng = np.random.default_rng(0)

    def clips() -> Iterator[np.ndarray]:
        while True:
            for number in rng.permutation(len(directories)):
                paths = sorted(directories[number].glob("*.jpg"))
                yield _decode(path.read_bytes() for path in paths)

    return (
        tf.data.Dataset.from_generator(
            clips, output_signature=tf.TensorSpec(shape, tf.uint8)
        )
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def _add_tfds(
    clips: list[list[bytes]], shape: tuple[int, ...], batch_size: int, scratch: Path
) -> dict[str, Contestant]:
    """TensorFlow Datasets' own Video feature, with its own reader and shuffle."""
    import tensorflow_datasets as tfds

    class Clips(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            video = tfds.features.Video(shape=shape, encoding_format="jpeg")
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict({"video": video})
            )

        def _split_generators(self, dl_manager):  # noqa: ARG002
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for number, images in enumerate(clips):
                # Encoded images are stored as they are.
                yield number, {"video": [BytesIO(image) for image in images]}

    builder = Clips(data_dir=str(scratch / "tfds"))
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )

    def start(augment: bool) -> Iterator:
        # Its default would keep this small set in memory, decoded.
        config = tfds.ReadConfig(try_autocache=False)
        dataset = builder.as_dataset(
            split="train",  # pyright: ignore
            shuffle_files=True,
            read_config=config,
        ).repeat()
        if augment:
            dataset = dataset.map(  # pyright: ignore
                lambda clip: {"video": _augmented(clip["video"])},
                num_parallel_calls=tf.data.AUTOTUNE,
            )
        # A buffer that a raw clip's 4.5 MB allow.
        batches = dataset.shuffle(64).batch(batch_size).prefetch(tf.data.AUTOTUNE)
        return (batch["video"] for batch in batches)

    return {
        "jpeg: tensorflow-datasets": partial(start, False),
        "jpeg: tensorflow-datasets, augmented": partial(start, True),
    }


def _add_webdataset(
    clips: list[list[bytes]], shape: tuple[int, ...], batch_size: int, scratch: Path
) -> dict[str, Contestant]:
    """Tar files and a shuffle buffer; a thread a core decodes, in place of torch."""
    import webdataset  # pyright: ignore[reportMissingImports]

    del shape
    for shard in range(4):
        with tarfile.open(scratch / f"clips-{shard}.tar", "w") as file:
            for number in range(shard, len(clips), 4):
                data = pickle.dumps(clips[number])
                member = tarfile.TarInfo(f"{number:05d}.pickle")
                member.size = len(data)
                file.addfile(member, BytesIO(data))

    def start(augment: bool) -> Iterator:
        def make(images: list[bytes]) -> np.ndarray:
            return _changed(_decode(images)) if augment else _decode(images)

        paths = [str(scratch / f"clips-{shard}.tar") for shard in range(4)]
        dataset = webdataset.WebDataset(  # pyright: ignore
            paths, shardshuffle=False, resampled=True
        ).shuffle(64)
        encoded = (pickle.loads(member["pickle"]) for member in dataset)
        pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        waiting = deque(pool.submit(make, next(encoded)) for _ in range(16))
        while True:
            clips = []
            for _ in range(batch_size):
                clips.append(waiting.popleft().result())
                waiting.append(pool.submit(make, next(encoded)))
            yield np.stack(clips)

    return {
        "jpeg: webdataset": partial(start, False),
        "jpeg: webdataset, augmented": partial(start, True),
    }


def _add_grain(
    clips: list[list[bytes]], shape: tuple[int, ...], batch_size: int, scratch: Path
) -> dict[str, Contestant]:
    """ArrayRecord files under grain's global shuffle, read by its threads."""
    import grain  # pyright: ignore[reportMissingImports]
    from array_record.python import array_record_module  # pyright: ignore

    paths = {"jpeg": scratch / "jpeg.array_record", "raw": scratch / "raw.array_record"}
    writers = {
        codec: array_record_module.ArrayRecordWriter(str(path), "group_size:1")
        for codec, path in paths.items()
    }
    for images in clips:
        writers["jpeg"].write(pickle.dumps(images))
        writers["raw"].write(_decode(images).tobytes())
    for writer in writers.values():
        writer.close()

    def from_jpeg(record: bytes) -> np.ndarray:
        return _decode(pickle.loads(record))

    def from_raw(record: bytes) -> np.ndarray:
        return np.frombuffer(record, np.uint8).reshape(shape)

    def start(
        codec: str, decode: Callable[[bytes], np.ndarray], augment: bool
    ) -> Contestant:
        def batches() -> Iterator:
            source = grain.sources.ArrayRecordDataSource(str(paths[codec]))
            dataset = grain.MapDataset.source(source).seed(0)  # pyright: ignore
            dataset = dataset.shuffle().repeat()
            threads = grain.ReadOptions(
                num_threads=len(os.sched_getaffinity(0)), prefetch_buffer_size=16
            )
            dataset = dataset.map(decode)
            if augment:
                dataset = dataset.map(_changed)
            batched = dataset.batch(batch_size)
            return iter(batched.to_iter_dataset(threads))

        return batches

    return {
        f"{codec}: grain, array_record{name}": start(codec, decode, augment)
        for codec, decode in (("jpeg", from_jpeg), ("raw", from_raw))
        for name, augment in (("", False), (", augmented", True))
    }


def _grain_of_shards(
    folder: ShardFolder, arguments: argparse.Namespace
) -> dict[str, Contestant]:
    """Grain as in `_add_grain`, over the same clips in the shards of the folder."""
    import grain  # pyright: ignore[reportMissingImports]

    def start() -> Iterator:
        reader = ShardReader(folder, arguments.split)
        dataset = grain.MapDataset.source(reader)  # pyright: ignore
        dataset = dataset.slice(slice(arguments.clips)).seed(0).shuffle().repeat()
        threads = grain.ReadOptions(
            num_threads=len(os.sched_getaffinity(0)), prefetch_buffer_size=16
        )
        dataset = dataset.map(lambda clip: clip["frames"])
        return iter(dataset.batch(arguments.batch_size).to_iter_dataset(threads))

    return {f"{folder.codec}: grain, ShardReader": start}


def _write_many_clips(directory: Path) -> None:
    """Writes a folder of as many clips as WLASL has instances, but small ones."""
    clip = ClipSpec(num_frames=2, height=8, width=8)
    feature = tf.train.Feature(
        bytes_list=tf.train.BytesList(value=[bytes(clip.num_bytes)])
    )
    protos = []
    for number in range(WLASL_CLIPS):
        name = tf.train.BytesList(value=[f"{number:05d}".encode()])
        named = {FRAMES_KEY: feature, ID_KEY: tf.train.Feature(bytes_list=name)}
        example = tf.train.Example(features=tf.train.Features(feature=named))
        protos.append(example.SerializeToString())
    record_bytes = len(protos[0]) + FRAME_BYTES
    directory.mkdir()
    name = layout.shard_name("train", 0, 1)
    with tf.io.TFRecordWriter(str(directory / name)) as writer:
        for proto in protos:
            writer.write(proto)
    shard = shard_folder.Shard(
        name=name, num_bytes=WLASL_CLIPS * record_bytes, num_records=WLASL_CLIPS
    )
    numbers = np.arange(WLASL_CLIPS)
    records = Records(
        shard_indices=np.zeros(WLASL_CLIPS, np.int32),
        offsets=numbers * record_bytes,
        num_bytes=np.full(WLASL_CLIPS, len(protos[0])),
        crcs=np.array([masked_crc([proto]) for proto in protos], np.uint32),
        labels=numbers % 2000,
        video_ids=tuple(f"{number:05d}" for number in numbers),
        signer_ids=numbers % 119,
        num_distinct_frames=np.full(WLASL_CLIPS, clip.num_frames, np.int32),
    )
    folder = ShardFolder(
        directory=str(directory),
        clip=clip,
        codec="raw",
        framing="center",
        glosses=tuple(f"gloss {number}" for number in range(2000)),
        shards={"train": (shard,)},
    )
    for name, content in folder_files(folder, {"train": records}, None).items():
        (directory / name).write_bytes(content)


def _first_batch(scratch: str) -> float:
    """Gives the seconds from the call to the first batch, in a process of its own."""
    code = (
        "import sys, time; import tensorflow; "
        "from wlasl_tfrecord.input_pipeline import dataset; "
        "started = time.perf_counter(); "
        "next(iter(dataset.input_fn(sys.argv[1], 'train', 16))); "
        "print(time.perf_counter() - started)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, os.path.join(scratch, "many")],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(ran.stdout)


def _setting(arguments: argparse.Namespace) -> str:
    """Returns the machine, the versions and the batch in one line."""
    packages = (
        *("tensorflow", "numpy", "opencv-python-headless", "simplejpeg", "crc32c"),
        *("awscrt", "tensorflow-datasets", "webdataset", "grain", "array_record"),
    )
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:  # noqa: PERF203
            continue
    return (
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"Python {platform.python_version()}, {', '.join(versions)}; batches of "
        f"{arguments.batch_size}, {arguments.rounds} rounds of {arguments.seconds} s"
    )


def _print_tables(
    turns: dict[str, list[Turn]], clip_bytes: int, arguments: argparse.Namespace
) -> None:
    """Prints each contestant beside `input_fn`, augmented ones beside the augmented."""
    print(_setting(arguments))
    print(
        "| input | clips/s | GB/s | CPU ms a clip | input_fn is | lowest to highest |"
    )
    print("|---|---|---|---|---|---|")
    for name, row in turns.items():
        rate = median(turn.clips_per_second for turn in row)
        cpu_ms = median(turn.cpu_ms_per_clip for turn in row)
        line = f"| {name} | {rate:.0f} | {rate * clip_bytes / 1e9:.2f} | {cpu_ms:.2f} |"
        codec = name.partition(":")[0]
        ours = f"{codec}: input_fn" + ", augmented" * name.endswith(", augmented")
        if ours in turns:
            ratios = [
                our_turn.clips_per_second / turn.clips_per_second
                for our_turn, turn in zip(turns[ours], row)
            ]
            line += (
                f" {median(ratios):.2f} x | {min(ratios):.2f} to {max(ratios):.2f} |"
            )
        print(line)


if __name__ == "__main__":
    sys.exit(main())
