"""What others use to read clips, as `benchmarks/input.py` measures it.

Each is a contestant: a function that starts endless batches of uint8 [B, T, H, W, 3].
"""

import os
import pickle
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import tensorflow as tf

from wlasl_tfrecord.input_pipeline.augment import AugmentConfig, augment_clip
from wlasl_tfrecord.input_pipeline.clip_change import ClipChange, write_changed
from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
from wlasl_tfrecord.shard_format.decode_frames import decode_frames
from wlasl_tfrecord.shard_format.parsing import parse_clip, parse_frames, read_record
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records

__all__ = [
    "Contestant",
    "bare_turbo",
    "classical",
    "encoded_clips",
    "generator",
    "grain_clips",
    "grain_of_shards",
    "tfds_clips",
    "webdataset_clips",
    "write_folders",
]

Contestant = Callable[[], Iterator]


def classical(
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


def encoded_clips(
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


def bare_turbo(
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


def write_folders(clips: list[list[bytes]], root: Path) -> None:
    """Writes what "extract your frames first" leaves behind."""
    for number, images in enumerate(clips):
        (root / f"{number:05d}").mkdir(parents=True)
        for frame, image in enumerate(images):
            (root / f"{number:05d}" / f"{frame:03d}.jpg").write_bytes(image)


def generator(root: Path, shape: tuple[int, ...], batch_size: int) -> tf.data.Dataset:
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


def tfds_clips(
    clips: list[list[bytes]], shape: tuple[int, ...], batch_size: int, scratch: Path
) -> dict[str, Contestant]:
    """TensorFlow Datasets' own Video feature, with its own reader and shuffle."""
    import tensorflow_datasets as tfds

    class Clips(tfds.core.GeneratorBasedBuilder):
        # As of a script: for a module of a package it wants importlib_resources, which
        # it does not install.
        __module__ = "clips"
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


def webdataset_clips(
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


def grain_clips(
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


def grain_of_shards(
    folder: ShardFolder, split: str, num_clips: int, batch_size: int
) -> dict[str, Contestant]:
    """Grain as in `grain_clips`, over the same clips in the shards of the folder."""
    import grain  # pyright: ignore[reportMissingImports]

    def start() -> Iterator:
        reader = ShardReader(folder, split)
        dataset = grain.MapDataset.source(reader)  # pyright: ignore
        dataset = dataset.slice(slice(num_clips)).seed(0).shuffle().repeat()
        threads = grain.ReadOptions(
            num_threads=len(os.sched_getaffinity(0)), prefetch_buffer_size=16
        )
        dataset = dataset.map(lambda clip: clip["frames"])
        return iter(dataset.batch(batch_size).to_iter_dataset(threads))

    return {f"{folder.codec}: grain, ShardReader": start}
