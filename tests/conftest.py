"""What several test files share: drawn videos, shard folders, the real clips."""

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

# Before TensorFlow is imported anywhere: its start-up lines are no warnings of ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

CHECKOUT = Path(__file__).resolve().parents[1]
NUM_BITS = 12


def pytest_sessionstart() -> None:
    """Splits the CPU in two devices, for the tests of strategies.

    TensorFlow takes that only before its first use, so it is done for every test.
    """
    from wlasl_tfrecord import cli

    cli.import_tensorflow()
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])


@pytest.fixture(scope="session")
def wlasl_data() -> Path:
    """The folder with real WLASL clips and annotations; skips where there is none."""
    path = Path(os.environ.get("WLASL_DATA_DIR", CHECKOUT.parent / "shared" / "data"))
    if not (path / "annotations" / "WLASL_v0.3.json").is_file():
        pytest.skip(
            f"no real WLASL clips in {path}; set WLASL_DATA_DIR to their folder"
        )
    return path


@contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    """Lets this process write no larger file, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def draw_numbered_frame(
    number: int, height: int = 120, width: int = 160
) -> NDArray[np.uint8]:
    """Draws a frame whose number `read_frame_number` finds again, uint8 [H, W, 3] RGB.

    The number stands in black and white bars across the middle square, which every
    framing keeps. Above them the frame is red, below blue: so swapped channels show. A
    green column marks the first, a yellow one the last tenth of the width: so framing
    shows.
    """
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: height // 2] = (220, 30, 30)
    frame[height // 2 :] = (30, 30, 220)
    frame[:, : width // 10] = (30, 200, 30)
    frame[:, -(width // 10) :] = (220, 220, 30)
    side = min(height, width)
    left = (width - side) // 2 + side // 8
    edges = np.linspace(left, left + side * 3 // 4, NUM_BITS + 1).astype(int)
    for bit in range(NUM_BITS):
        shade = 255 if number >> bit & 1 else 0
        frame[height // 3 : -(height // 3), edges[bit] : edges[bit + 1]] = shade
    return frame


def read_frame_number(frame: NDArray[np.uint8]) -> int:
    """Reads the number of a drawn frame, uint8 [S, S, 3], framed by `center`."""
    side = frame.shape[1]
    edges = np.linspace(side / 8, side * 7 / 8, NUM_BITS + 1)
    centres = ((edges[:-1] + edges[1:]) / 2).astype(int)
    row = frame[frame.shape[0] // 2].mean(axis=-1)
    return sum(1 << bit for bit, x in enumerate(centres) if row[x] > 127)


@pytest.fixture(scope="session")
def numbered_video() -> Callable[..., Path]:
    """A function that writes a video of numbered frames and gives its path."""

    def write(
        path: Path,
        num_frames: int = 40,
        fps: float = 25.0,
        height: int = 120,
        width: int = 160,
        first_number: int = 0,
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        fourcc = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(path), fourcc, fps, (width, height))
        assert writer.isOpened()
        for number in range(first_number, first_number + num_frames):
            frame = draw_numbered_frame(number, height, width)
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
        return path

    return write


@pytest.fixture(scope="session")
def frame_number() -> Callable[[NDArray[np.uint8]], int]:
    """Reads back the number of a frame that `numbered_video` drew."""
    return read_frame_number


@pytest.fixture(scope="session")
def write_folder() -> Callable[..., Path]:
    """A function that writes a small, valid shard folder with no sharder at all."""

    def write(
        directory: Path,
        num_clips: dict[str, int] | None = None,
        *,
        codec: str = "raw",
        num_frames: int = 5,
        height: int = 16,
        width: int = 24,
        glosses: Sequence[str] = ("book", "drink", "computer"),
        num_shards: int = 2,
    ) -> Path:
        import tensorflow as tf

        from wlasl_tfrecord import clips, example_protos, folder_files, index

        spec = clips.ClipSpec(num_frames=num_frames, height=height, width=width)
        directory.mkdir(parents=True, exist_ok=True)
        shards: dict[str, tuple[index.Shard, ...]] = {}
        records: dict[str, index.Records] = {}
        for split, count in (num_clips or {"train": 7, "val": 3}).items():
            rows, files = [], []
            for shard_index in range(num_shards):
                name = index.shard_name(split, shard_index, num_shards)
                path = directory / name
                offset = 0
                numbers = range(
                    shard_index * count // num_shards,
                    (shard_index + 1) * count // num_shards,
                )
                with tf.io.TFRecordWriter(str(path)) as writer:
                    for number in numbers:
                        proto = _drawn_clip(number, split, spec, codec, glosses)
                        writer.write(proto)
                        rows.append((shard_index, offset, len(proto), number, split))
                        offset += len(proto) + 16
                files.append(
                    index.Shard(
                        name=name,
                        num_bytes=path.stat().st_size,
                        num_records=len(numbers),
                    )
                )
            shards[split] = tuple(files)
            records[split] = index.Records(
                shard_indices=np.array([row[0] for row in rows], np.int32),
                offsets=np.array([row[1] for row in rows], np.int64),
                num_bytes=np.array([row[2] for row in rows], np.int64),
                crcs=np.array(
                    [_stored_crc(directory / files[r[0]].name, *r[1:3]) for r in rows],
                    np.uint32,
                ),
                labels=np.array([row[3] % len(glosses) for row in rows], np.int64),
                video_ids=tuple(f"{row[4]}{row[3]:05d}" for row in rows),
                signer_ids=np.array([row[3] % 4 for row in rows], np.int64),
                num_distinct_frames=np.full(len(rows), num_frames, np.int32),
            )
        folder = index.ShardFolder(
            directory=str(directory),
            clip=spec,
            codec=codec,
            framing="center",
            glosses=tuple(glosses),
            shards=shards,
        )
        features = example_protos.tfds_features(spec, codec, len(glosses))
        for name, content in folder_files.folder_files(
            folder, records, features
        ).items():
            (directory / name).write_bytes(content)
        return directory

    return write


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """A function that writes a run folder with a model that nobody trained.

    Its answers differ from clip to clip all the same, so that a test sees whether two
    of them agree by chance.
    """

    def write(
        run_dir: Path,
        *,
        policy: str = "float32",
        num_frames: int = 4,
        glosses: Sequence[str] = ("book", "drink", "computer", "before", "chair"),
    ) -> Path:
        import keras

        from wlasl_tfrecord import clips, recipes, runs

        spec = clips.ClipSpec(num_frames=num_frames, height=32, width=32)
        options = {"weights": "none", "alpha": 0.35, "lstm_units": 16}
        keras.utils.set_random_seed(5)
        network = recipes.load_recipe().build(spec, len(glosses), options)
        # Untrained, BatchNorm would let nothing through, and every gloss be as
        # probable as any other.
        backbone = network.get_layer("backbone")
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
        frames = np.concatenate([drawn_frames(n, spec.shape) for n in range(0, 40, 5)])
        backbone(frames.astype("float32") / 127.5 - 1, training=True)
        for kernel in (
            network.get_layer("temporal").cell.kernel,
            network.get_layer("logits").kernel,
        ):
            kernel.assign(kernel * 5)
        if policy != "float32":
            weights = network.get_weights()
            before = keras.config.dtype_policy()
            keras.config.set_dtype_policy(policy)
            try:
                network = recipes.load_recipe().build(spec, len(glosses), options)
            finally:
                keras.config.set_dtype_policy(before)
            network.set_weights(weights)
        run_dir.mkdir(parents=True)
        network.save(run_dir / "model.keras")
        info = runs.ModelInfo(
            glosses=tuple(glosses),
            clip=spec,
            framing="center",
            recipe={"name": "mobilenetv2_lstm", **options},
        )
        runs.write_model_info(run_dir, info)
        return run_dir

    return write


def drawn_frames(number: int, shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Draws the frames of a clip: smooth, so that JPEG keeps them; all different."""
    num_frames, height, width, _ = shape
    t, y, x = np.meshgrid(
        np.arange(num_frames), np.arange(height), np.arange(width), indexing="ij"
    )
    red = 7 * number + 20 * t + y
    green = 11 * number + 5 * t + x
    blue = np.broadcast_to(number % 50 * 5, t.shape)
    return np.stack([red, green, blue], axis=-1).clip(0, 255).astype(np.uint8)


def _drawn_clip(number, split, spec, codec, glosses):
    from wlasl_tfrecord import clips, example_protos

    frames = drawn_frames(number, spec.shape)
    source = clips.ClipSource(
        video_fps=25.0,
        num_video_frames=spec.num_frames,
        sign=clips.SignRange(0, spec.num_frames, "whole"),
        frame_indices=tuple(range(spec.num_frames)),
        sha256=f"{number:064x}",
    )
    info = example_protos.ClipInfo(
        video_id=f"{split}{number:05d}",
        gloss=glosses[number % len(glosses)],
        label=number % len(glosses),
        signer_id=number % 4,
        source=source,
    )
    if codec == "raw":
        return example_protos.encode_clip(info, frames.tobytes(), spec, codec)
    suffix = {"jpeg": ".jpg", "png": ".png"}[codec]
    images = [
        cv2.imencode(suffix, np.ascontiguousarray(frame[..., ::-1]))[1].tobytes()
        for frame in frames
    ]
    return example_protos.encode_clip(info, images, spec, codec)


def _stored_crc(path: Path, offset: int, num_bytes: int) -> int:
    """Reads the masked CRC-32C that stands behind a record's proto."""
    with path.open("rb") as file:
        file.seek(offset + 12 + num_bytes)
        return int.from_bytes(file.read(4), "little")
