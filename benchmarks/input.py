"""The input side by side with what others use: same clips, same cores, one run.

    pip install '.[bench]'
    taskset -c 0,1 python benchmarks/input.py --raw shards-raw/ --jpeg shards-jpeg/

Both folders hold the same clips, written by `bin/shard --codec raw` and `--codec jpeg`.
The peers' own formats are written beside them, from the very bytes of the jpeg folder,
into a temporary directory. Every contestant gives batches of uint8 [B, T, H, W, 3],
without augmentation. Each is measured several times in turns, and the best turn counts:
what disturbs a machine only ever makes it slower.
"""

import argparse
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
from importlib import metadata
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from wlasl_tfrecord import input_fn, load_folder
from wlasl_tfrecord.input_pipeline import hardware_limit
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raw", required=True)
    parser.add_argument("--jpeg", required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--clips", type=int, default=160, help="that peers get")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", help="measure contestants whose name has this in it")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    raw, jpeg = load_folder(arguments.raw), load_folder(arguments.jpeg)
    # What is measured is the input, not the disk.
    for folder in (raw, jpeg):
        for shard in folder.split_shards(arguments.split):
            Path(folder.shard_path(shard)).read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        _write_many_clips(Path(scratch) / "many")
        contestants = _contestants(raw, jpeg, arguments, Path(scratch))
        chosen = {
            name: start
            for name, start in contestants.items()
            if not arguments.only or arguments.only in name
        }
        limits = {
            "raw": [hardware_limit.measure_limit(raw, arguments.split, seconds=1.0)],
            "jpeg": [hardware_limit.measure_limit(jpeg, arguments.split, seconds=1.0)],
        }
        best = {name: (0.0, float("inf")) for name in chosen}
        for _ in range(arguments.turns):
            for name, start in chosen.items():
                rate, cpu_ms = _turn(start, arguments)
                if name == TURBO:
                    # Of one thread, which stands for one on each core.
                    cpu_ms *= len(os.sched_getaffinity(0))
                best[name] = (max(best[name][0], rate), min(best[name][1], cpu_ms))
            for codec, folder in (("raw", raw), ("jpeg", jpeg)):
                limits[codec].append(
                    hardware_limit.measure_limit(folder, arguments.split, seconds=1.0)
                )
        seconds = min(_first_batch(scratch) for _ in range(arguments.turns))
    _print_table(best, limits, raw.clip.num_bytes, arguments)
    print(f"first batch of {WLASL_CLIPS} clips: {seconds:.2f} s after the call")
    return 0


def _contestants(
    raw: ShardFolder, jpeg: ShardFolder, arguments: argparse.Namespace, scratch: Path
) -> dict[str, Contestant]:
    """Names what is measured; says which peers are not installed and left out."""
    split, size, num_clips = arguments.split, arguments.batch_size, arguments.clips

    def ours(folder: ShardFolder, order: str) -> Contestant:
        return lambda: (
            frames
            for frames, _ in input_fn(
                folder,
                split,
                size,
                training=True,
                augment=False,
                num_epochs=None,
                order=order,  # pyright: ignore
            )
        )

    contestants: dict[str, Contestant] = {
        "raw: input_fn, shuffled": ours(raw, "shuffled"),
        "raw: input_fn, sequential": ours(raw, "sequential"),
        "raw: tf.data, not shuffled": lambda: iter(_classical(raw, split, size)),
        "jpeg: input_fn, shuffled": ours(jpeg, "shuffled"),
        "jpeg: input_fn, sequential": ours(jpeg, "sequential"),
        "jpeg: tf.data, not shuffled": lambda: iter(_classical(jpeg, split, size)),
    }
    clips = list(_encoded_clips(jpeg, split, num_clips))
    try:
        contestants[TURBO] = _bare_turbo(clips, size)
    except ImportError as error:
        print(f"without simplejpeg: {error}", file=sys.stderr)
    shape = jpeg.clip.shape
    _write_folders(clips, scratch / "folders")
    contestants["jpeg: Python generator over folders"] = lambda: iter(
        _generator(scratch / "folders", shape, size)
    )
    for name, add in (
        ("tensorflow-datasets", _add_tfds),
        ("webdataset", _add_webdataset),
        ("grain", _add_grain),
    ):
        try:
            contestants |= add(clips, shape, size, scratch)
        except ImportError as error:  # noqa: PERF203
            print(f"without {name}: {error}", file=sys.stderr)
    return contestants


def _turn(start: Contestant, arguments: argparse.Namespace) -> tuple[float, float]:
    """Gives clips a second, and CPU milliseconds a clip of this process."""
    batches = iter(start())
    for _ in range(4):
        next(batches)
    clips = 0
    started, cpu_started = time.perf_counter(), _cpu_seconds()
    while time.perf_counter() - started < arguments.seconds:
        batch = next(batches)
        assert batch.shape[0] == arguments.batch_size, batch.shape
        clips += arguments.batch_size
    wall = time.perf_counter() - started
    return clips / wall, (_cpu_seconds() - cpu_started) / clips * 1e3


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _classical(folder: ShardFolder, split: str, batch_size: int) -> tf.data.Dataset:
    """The pipeline of TensorFlow's own guides, without any shuffle."""
    paths = [folder.shard_path(shard) for shard in folder.split_shards(split)]

    def decode(serialized: tf.Tensor) -> tf.Tensor:
        parsed = parse_clip(serialized, folder.clip, folder.codec)
        return decode_frames(parsed, folder.clip, folder.codec)

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


def _bare_turbo(clips: list[list[bytes]], batch_size: int) -> Contestant:
    """The limit in pure form: one thread that does nothing but decode, a core each."""
    import simplejpeg  # pyright: ignore[reportMissingImports]

    def start() -> Iterator:
        step = 0
        while True:
            # One thread does its share of the batch, and stands for the other cores.
            for _ in range(max(1, batch_size // len(os.sched_getaffinity(0)))):
                for image in clips[step % len(clips)]:
                    simplejpeg.decode_jpeg(image, "RGB")
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

    def start() -> Iterator:
        # Its default would keep this small set in memory, decoded.
        config = tfds.ReadConfig(try_autocache=False)
        dataset = builder.as_dataset(
            split="train",  # pyright: ignore
            shuffle_files=True,
            read_config=config,
        ).repeat()
        # A buffer that a raw clip's 4.5 MB allow.
        batches = dataset.shuffle(64).batch(batch_size).prefetch(tf.data.AUTOTUNE)
        return (batch["video"] for batch in batches)

    return {"jpeg: tensorflow-datasets, Video": start}


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

    def start() -> Iterator:
        paths = [str(scratch / f"clips-{shard}.tar") for shard in range(4)]
        dataset = webdataset.WebDataset(  # pyright: ignore
            paths, shardshuffle=False, resampled=True
        ).shuffle(64)
        encoded = (pickle.loads(member["pickle"]) for member in dataset)
        pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        waiting = deque(pool.submit(_decode, next(encoded)) for _ in range(16))
        while True:
            clips = []
            for _ in range(batch_size):
                clips.append(waiting.popleft().result())
                waiting.append(pool.submit(_decode, next(encoded)))
            yield np.stack(clips)

    return {"jpeg: webdataset": start}


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

    def start(codec: str, decode: Callable[[bytes], np.ndarray]) -> Contestant:
        def batches() -> Iterator:
            source = grain.sources.ArrayRecordDataSource(str(paths[codec]))
            dataset = grain.MapDataset.source(source).seed(0)  # pyright: ignore
            dataset = dataset.shuffle().repeat()
            threads = grain.ReadOptions(
                num_threads=len(os.sched_getaffinity(0)), prefetch_buffer_size=16
            )
            batched = dataset.map(decode).batch(batch_size)
            return iter(batched.to_iter_dataset(threads))

        return batches

    return {
        "jpeg: grain, array_record": start("jpeg", from_jpeg),
        "raw: grain, array_record": start("raw", from_raw),
    }


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


def _print_table(
    best: dict[str, tuple[float, float]],
    limits: dict[str, list[hardware_limit.Rate]],
    clip_bytes: int,
    arguments: argparse.Namespace,
) -> None:
    """Prints each contestant beside its codec's limit, and ours."""
    packages = (
        "tensorflow",
        "numpy",
        "opencv-python-headless",
        "tensorflow-datasets",
        "webdataset",
        "grain",
        "array_record",
    )
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:  # noqa: PERF203
            continue
    print(
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"Python {platform.python_version()}, {', '.join(versions)}; "
        f"batches of {arguments.batch_size}, page cache"
    )
    print(f"| {'input':<36} | clips/s | GB/s | CPU ms/clip | of limit | ours is |")
    print("|---|---|---|---|---|---|")
    for codec in ("raw", "jpeg"):
        limit = max(limits[codec], key=lambda rate: rate.clips_per_second)
        rows = {
            f"{codec}: limit, {limit.name}": (
                limit.clips_per_second,
                limit.cpu_ms_per_clip,
            )
        }
        rows |= {name: row for name, row in best.items() if name.startswith(codec)}
        ours = best.get(f"{codec}: input_fn, shuffled", (0.0, 0.0))[0]
        for name, (rate, cpu_ms) in rows.items():
            print(
                f"| {name:<36} | {rate:.0f} | {rate * clip_bytes / 1e9:.2f} | "
                f"{cpu_ms:.2f} | {rate / limit.clips_per_second:.2f} | "
                f"{ours / rate:.2f} x |"
            )


if __name__ == "__main__":
    sys.exit(main())
