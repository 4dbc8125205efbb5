import hashlib
import random

import numpy as np
import pytest
import tensorflow as tf

from wlasl_tfrecord.shard_format import clip_proto, decode_frames, parsing
from wlasl_tfrecord.shard_format.clips import ClipSource, ClipSpec, SignRange

CLIP = ClipSpec(num_frames=4, height=16, width=24)
INFO = clip_proto.ClipInfo(
    video_id="00335",
    gloss="book",
    label=7,
    signer_id=118,
    source=ClipSource(
        video_fps=50.0,
        num_video_frames=300,
        sign=SignRange(100, 200, "cut"),
        frame_indices=(100, 133, 166, 199),
        sha256="ab" * 32,
    ),
)


def smooth_frames():
    t, y, x = np.meshgrid(range(4), range(16), range(24), indexing="ij")
    return np.stack([60 * t + y, 5 * x, 255 - 8 * y], axis=-1).astype(np.uint8)


def images(codec):
    encode = tf.io.encode_png if codec == "png" else tf.io.encode_jpeg
    return [encode(frame).numpy() for frame in smooth_frames()]


def record(codec):
    frames = smooth_frames().tobytes() if codec == "raw" else images(codec)
    return clip_proto.encode_clip(INFO, frames, CLIP, codec)


def read(serialized, codec):
    parsed = parsing.parse_clip(serialized, CLIP, codec)
    return decode_frames.decode_frames(parsed, CLIP, codec)


@pytest.mark.parametrize("codec", ["raw", "png"])
def test_a_clip_comes_back_bit_for_bit(codec):
    np.testing.assert_array_equal(read(record(codec), codec), smooth_frames())


def test_a_jpeg_clip_comes_back_within_its_quality():
    difference = read(record("jpeg"), "jpeg").numpy().astype(int) - smooth_frames()
    assert np.sqrt((difference**2).mean()) < 3


@pytest.mark.parametrize("codec", ["raw", "jpeg", "png"])
def test_a_clip_reads_alike_inside_map(codec):
    dataset = tf.data.Dataset.from_tensors(record(codec))
    (mapped,) = dataset.map(lambda serialized: read(serialized, codec))
    np.testing.assert_array_equal(mapped, read(record(codec), codec))
    assert dataset.map(lambda s: read(s, codec)).element_spec.shape == CLIP.shape


@pytest.mark.parametrize("codec", ["raw", "jpeg", "png"])
def test_a_batch_is_decoded_as_its_clips_are(codec):
    key = clip_proto.FRAMES_KEY if codec == "raw" else clip_proto.IMAGES_KEY
    parsed = parsing.parse_clip(record(codec), CLIP, codec)[key]
    black = tf.constant(decode_frames.encode_black(CLIP, codec))
    encoded = tf.stack([parsed, black, parsed])

    def decode(batch):
        return decode_frames.decode_encoded(batch, CLIP, codec)

    eager = decode(encoded).numpy()
    np.testing.assert_array_equal(eager[0], read(record(codec), codec))
    np.testing.assert_array_equal(eager[2], eager[0])
    assert not eager[1].any()
    (mapped,) = tf.data.Dataset.from_tensors(encoded).map(decode)
    np.testing.assert_array_equal(mapped, eager)


@pytest.mark.parametrize("codec", ["raw", "jpeg", "png"])
def test_the_context_is_alike_in_every_codec(codec):
    keys = list(parsing.context_features(CLIP))
    parsed = parsing.parse_clip(record(codec), CLIP, codec, keys)
    values = {key: parsed[key].numpy() for key in keys}
    assert values.pop("image/format") == codec.upper().encode()
    np.testing.assert_array_equal(
        values.pop("wlasl/frame_indices"), [100, 133, 166, 199]
    )
    assert values == {
        "clip/start/timestamp": 2_000_000,
        "clip/end/timestamp": 4_000_000,
        "clip/label/index": 7,
        "clip/label/string": b"book",
        "clip/label/text": b"book",
        "clip/media_id": b"00335",
        "example/dataset_name": b"wlasl",
        "example/id": b"00335",
        "image/channels": 3,
        "image/colorspace": b"RGB",
        # Four frames over 99 frames at 50 a second.
        "image/frame_rate": pytest.approx(3 / (99 / 50)),
        "image/height": 16,
        "image/width": 24,
        "wlasl/num_distinct_frames": 4,
        "wlasl/range_rule": b"cut",
        "wlasl/signer_id": 118,
        "wlasl/source/frame_rate": 50.0,
        "wlasl/source/num_frames": 300,
        "wlasl/source/sha256": b"ab" * 32,
    }


def test_a_record_has_the_same_bytes_every_time():
    # Another digest here is another shard format: raise FORMAT_VERSION, and the version
    # in docs/shard-format.md.
    digest = hashlib.sha256(record("raw")).hexdigest()
    assert digest[:16] == "e189d1176127936b"


@pytest.mark.parametrize(
    ("frames", "codec", "message"),
    [
        (b"12", "raw", r"raw clip of shape \(4, 16, 24, 3\) cannot be 2 bytes"),
        (b"12", "jpeg", "jpeg clip of shape .* cannot be 2 bytes"),
        ([b"1"] * 3, "jpeg", "jpeg clip of shape .* cannot be 3 images"),
        ([b"1"] * 4, "raw", "raw clip of shape .* cannot be 4 images"),
    ],
)
def test_what_is_no_clip_is_not_written(frames, codec, message):
    with pytest.raises(ValueError, match=message):
        clip_proto.encode_clip(INFO, frames, CLIP, codec)


def proto_by_protobuf(info, frames, clip, codec):
    """The same record by TensorFlow's own protos."""
    source, times = info.source, info.source.frame_times_us
    span_us = times[-1] - times[0]
    context = {
        "clip/start/timestamp": round(source.sign.start / source.video_fps * 1e6),
        "clip/end/timestamp": round(source.sign.stop / source.video_fps * 1e6),
        "clip/label/index": info.label,
        "clip/label/string": info.gloss,
        "clip/label/text": info.gloss,
        "clip/media_id": info.video_id,
        "example/dataset_name": "wlasl",
        "example/id": info.video_id,
        "image/channels": 3,
        "image/colorspace": "RGB",
        "image/format": codec.upper(),
        "image/frame_rate": (len(times) - 1) * 1e6 / span_us
        if span_us
        else source.video_fps,
        "image/height": clip.height,
        "image/width": clip.width,
        "wlasl/frame_indices": source.frame_indices,
        "wlasl/num_distinct_frames": source.num_distinct_frames,
        "wlasl/range_rule": source.sign.rule,
        "wlasl/signer_id": info.signer_id,
        "wlasl/source/frame_rate": source.video_fps,
        "wlasl/source/num_frames": source.num_video_frames,
        "wlasl/source/sha256": source.sha256,
    }

    def fill(feature, value):
        values = list(value) if isinstance(value, tuple | list) else [value]
        values = [v.encode() if isinstance(v, str) else v for v in values]
        kind = {bytes: "bytes_list", float: "float_list", int: "int64_list"}
        getattr(feature, kind[type(values[0])]).value.extend(values)

    if codec == "raw":
        proto = tf.train.Example()
        for key, value in context.items():
            fill(proto.features.feature[key], value)
        fill(proto.features.feature["clip/frames"], frames)
        fill(proto.features.feature["image/timestamp"], times)
    else:
        proto = tf.train.SequenceExample()
        for key, value in context.items():
            fill(proto.context.feature[key], value)
        for key, values in (("image/encoded", frames), ("image/timestamp", times)):
            for value in values:
                fill(proto.feature_lists.feature_list[key].feature.add(), value)
    return proto.SerializeToString(deterministic=True)


def any_clip(generator):
    """A clip of any shape, with numbers of every length and texts of every script."""
    clip = ClipSpec(
        num_frames=generator.choice([1, 2, 30, 200]),
        height=generator.randint(1, 40),
        width=generator.randint(1, 40),
    )
    start = generator.choice([0, 1, 127, 128, 5000, 2**31])
    stop = start + generator.choice([1, 2, 63, 64, 200, 20000])
    indices = [generator.randrange(start, stop) for _ in range(clip.num_frames)]
    texts = ["a", "book", "strike (hit)", "手話", "é" * 70, "x" * 20000, "😀 \0"]
    info = clip_proto.ClipInfo(
        video_id=generator.choice(texts),
        gloss=generator.choice(texts),
        label=generator.choice([0, 1, 127, 128, 1999, 2**40]),
        signer_id=generator.choice([-1, 0, 118, 2**62]),
        source=ClipSource(
            video_fps=generator.choice([25.0, 29.97, 23.976, 960.0, 0.001]),
            num_video_frames=stop + generator.choice([0, 1, 1000]),
            sign=SignRange(start, stop, generator.choice(["cut", "whole"])),
            frame_indices=tuple(sorted(indices)),
            sha256=f"{generator.getrandbits(256):064x}",
        ),
    )
    return info, clip


@pytest.mark.parametrize("codec", ["raw", "jpeg"])
def test_a_proto_has_the_bytes_that_protobuf_gives(codec):
    generator = random.Random(codec)
    for _ in range(300):
        info, clip = any_clip(generator)
        if codec == "raw":
            frames = generator.randbytes(clip.num_bytes)
        else:
            sizes = [generator.choice([1, 127, 128, 3000]) for _ in range(4)]
            frames = [
                generator.randbytes(generator.choice(sizes))
                for _ in range(clip.num_frames)
            ]
        ours = clip_proto.encode_clip(info, frames, clip, codec)
        assert ours == proto_by_protobuf(info, frames, clip, codec)


def test_frames_are_a_piece_of_their_own_and_not_copied():
    frames = memoryview(bytearray(smooth_frames().tobytes()))
    pieces = clip_proto.clip_pieces(INFO, frames, CLIP, "raw")
    assert any(piece is frames for piece in pieces)
    assert b"".join(pieces) == record("raw")


def test_an_image_of_another_size_is_an_error():
    small = [tf.io.encode_png(f[:8]).numpy() for f in smooth_frames()]
    serialized = clip_proto.encode_clip(INFO, small, CLIP, "png")
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match="24"):
        list(tf.data.Dataset.from_tensors(serialized).map(lambda s: read(s, "png")))


def test_only_a_raw_record_has_words_for_tfds():
    features = clip_proto.tfds_features(CLIP, "raw", 3)["featuresDict"]["features"]
    context = set(parsing.context_features(CLIP))
    assert set(features) == {*context, "clip/frames", "image/timestamp"}
    assert clip_proto.tfds_features(CLIP, "jpeg", 3) is None
