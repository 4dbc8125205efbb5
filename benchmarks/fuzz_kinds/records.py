"""Records: their bytes with the right checksums, their headers, their landmarks."""

import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fuzz_kinds.changes import changed_bytes, changed_numbers
from benchmarks.fuzz_kinds.kind import Kind
from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.shard_format.codecs import Codec

__all__ = ["KINDS"]


def records_kind(directory: Path, codec: str) -> Kind:
    """The bytes of a record, with the checksums and the table that fit them."""
    from drawn_shards import write_folder

    from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
    from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records
    from wlasl_tfrecord.shard_format.tfrecord import footer, header, masked_crc

    root = write_folder(directory / "s", {"val": 1}, codec=codec, num_shards=1)
    folder = load_folder(root)
    records = load_records(folder, "val")
    path = Path(folder.shard_path(folder.shards["val"][0]))
    content = path.read_bytes()[12:-4]

    def read(forged: bytes) -> None:
        crc = masked_crc([forged])
        path.write_bytes(header(len(forged)) + forged + footer(crc))
        table = dataclasses.replace(
            records,
            num_bytes=np.array([len(forged)], np.int64),
            crcs=np.array([crc], np.uint32),
        )
        clip = ShardReader(folder, "val", records=table)[0]
        assert clip["frames"].shape == folder.clip.shape

    return Kind(content=content, change=changed_bytes, read=read)


def graph_kind(directory: Path, codec: str) -> Kind:
    """The same, for the operations of TensorFlow that `reader="graph"` consists of."""
    import tensorflow as tf
    from drawn_shards import write_folder

    from wlasl_tfrecord.errors import RecordError
    from wlasl_tfrecord.shard_format.decode_frames import decode_encoded
    from wlasl_tfrecord.shard_format.parsing import read_contents
    from wlasl_tfrecord.shard_format.shard_folder import load_folder
    from wlasl_tfrecord.shard_format.tfrecord import footer, header, masked_crc

    root = write_folder(directory / "s", {"val": 1}, codec=codec, num_shards=1)
    folder = load_folder(root)
    path = Path(folder.shard_path(folder.shards["val"][0]))
    content = path.read_bytes()[12:-4]

    @tf.function
    def decode():
        start = tf.constant(0, tf.int64)
        shard = tf.constant(str(path))
        contents, _, whole = read_contents(shard, start, folder.clip, folder.codec)
        with tf.control_dependencies([tf.debugging.Assert(whole, ["not whole"])]):
            encoded = tf.identity(contents["encoded"])
            return decode_encoded(encoded, folder.clip, folder.codec)

    def read(forged: bytes) -> None:
        crc = masked_crc([forged])
        path.write_bytes(header(len(forged)) + forged + footer(crc))
        try:
            decode()
        except tf.errors.InvalidArgumentError as error:
            raise RecordError("refused") from error

    return Kind(content=content, change=changed_bytes, read=read)


def headers_kind(directory: Path, codec: str) -> Kind:
    """A whole shard: lengths and checksums as they are, right or not."""
    import tensorflow as tf
    from drawn_shards import write_folder

    from wlasl_tfrecord.input_pipeline import dataset
    from wlasl_tfrecord.input_pipeline.damaged_records import damaged_records_by_name
    from wlasl_tfrecord.input_pipeline.shard_reader import ShardReader
    from wlasl_tfrecord.inspection.verify_records import verify_split
    from wlasl_tfrecord.shard_format.shard_folder import load_folder

    root = write_folder(directory / "s", {"val": 3}, codec=codec, num_shards=1)
    folder = load_folder(root)
    path = Path(folder.shard_path(folder.shards["val"][0]))

    def read(forged: bytes) -> None:
        path.write_bytes(forged)
        damages = [one for one in verify_split(folder, "val") if one is not None]
        batches = dataset.input_fn(folder, "val", 3, reader="graph", element="dict")
        with damaged_records_by_name():
            for _ in batches:
                pass
        reader = ShardReader(folder, "val")
        for number in range(len(reader)):
            reader[number]
        if damages:
            raise WlaslError(damages[0].reason)

    # TensorFlow prints each of the errors.
    tf.get_logger().setLevel("ERROR")
    return Kind(content=path.read_bytes(), change=changed_bytes, read=read)


def landmarks_kind(directory: Path, codec: Codec) -> Kind:
    """The landmarks of a record: numbers that need not be those of a person.

    Either reader takes them or refuses them, and a network computes with what they
    take.
    """
    import tensorflow as tf
    from drawn_shards import drawn_landmarks

    from wlasl_tfrecord.network.landmark_features import landmark_features
    from wlasl_tfrecord.shard_format.clips import ClipSpec
    from wlasl_tfrecord.shard_format.landmarks import group_slice, landmark_keys
    from wlasl_tfrecord.shard_format.parsing import read_contents
    from wlasl_tfrecord.shard_format.protobuf import (
        encode_example,
        encode_sequence_example,
    )
    from wlasl_tfrecord.shard_format.record_bytes import read_landmarks
    from wlasl_tfrecord.shard_format.tfrecord import footer, header, masked_crc

    clip = ClipSpec(num_frames=5, height=1, width=1)
    path = directory / "shard"
    images = [b"image"] * clip.num_frames

    def proto_of(landmarks: NDArray[np.float32]) -> bytes:
        values = {
            key: landmarks[:, group_slice(group), axis]
            for group in ("left_hand", "right_hand", "pose")
            for axis, key in enumerate(landmark_keys(group))
        }
        if codec == "raw":
            flat = {key: one.reshape(-1).tolist() for key, one in values.items()}
            frames = bytes(clip.num_bytes)
            return b"".join(encode_example({"clip/frames": frames, **flat}))
        lists = {key: one.tolist() for key, one in values.items()}
        size = {"image/height": clip.height, "image/width": clip.width}
        return b"".join(
            encode_sequence_example(size, {"image/encoded": images, **lists})
        )

    @tf.function
    def read_by_graph() -> tuple[tf.Tensor, tf.Tensor]:
        start = tf.constant(0, tf.int64)
        contents, _, whole = read_contents(
            tf.constant(str(path)), start, clip, codec, has_landmarks=True
        )
        return contents["landmarks"], whole

    def read(forged: bytes) -> None:
        landmarks = np.frombuffer(forged, np.float32).reshape(clip.num_frames, -1, 3)
        proto = proto_of(landmarks)
        crc = masked_crc([proto])
        path.write_bytes(header(len(proto)) + proto + footer(crc))
        try:
            found = read_landmarks(proto, clip, codec)
        except ValueError as error:
            assert not read_by_graph()[1]
            raise WlaslError("refused") from error
        by_graph, is_whole = read_by_graph()
        assert is_whole
        np.testing.assert_array_equal(found, by_graph)
        landmark_features(tf.constant(found[np.newaxis]), clip)

    content = drawn_landmarks(0, clip.num_frames).tobytes()
    return Kind(content=content, change=changed_numbers, read=read)


KINDS = {
    **{
        f"{codec}-record": partial(records_kind, codec=codec)
        for codec in ("raw", "jpeg", "png")
    },
    **{
        f"{codec}-graph": partial(graph_kind, codec=codec)
        for codec in ("raw", "jpeg", "png")
    },
    "shard": partial(headers_kind, codec="raw"),
    "raw-landmarks": partial(landmarks_kind, codec="raw"),
    "jpeg-landmarks": partial(landmarks_kind, codec="jpeg"),
}
