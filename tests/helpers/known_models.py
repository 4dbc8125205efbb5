"""Runs whose models are simple functions of the clips, for tests of evaluation."""

from wlasl_tfrecord.network import model_info
from wlasl_tfrecord.shard_format.clips import ClipSpec

CLIP = ClipSpec(num_frames=2, height=8, width=8)
GLOSSES = ("book", "drink", "computer")


def write_shards(directory):
    """Writes 11 clips to validate with, whose label is their number modulo 3."""
    from drawn_shards import write_folder

    sizes = {"num_frames": 2, "height": 8, "width": 8}
    return write_folder(directory, {"train": 4, "val": 11}, **sizes)


def write_run(directory, classify):
    """Writes a run whose model is a function of the frames, and returns its folder."""
    import keras

    frames = keras.Input(CLIP.shape, dtype="uint8")
    x = keras.ops.cast(frames, "float32")
    x = classify(keras.ops.mean(x[..., 2], axis=(1, 2, 3)) / 5)  # the clip's number
    model = keras.Model(frames, keras.layers.Softmax()(x))
    directory.mkdir(exist_ok=True)
    model.save(directory / "model.keras")
    info = model_info.ModelInfo(glosses=GLOSSES, clip=CLIP, framing="center")
    model_info.write_model_info(directory, info)
    return directory


def right(numbers):
    """Knows that the label of a drawn clip is its number modulo 3."""
    import keras

    labels = keras.ops.cast(keras.ops.round(numbers), "int32") % 3
    return keras.ops.one_hot(labels, 3) * 9.0


def constant(numbers):
    import keras

    return keras.ops.stack([numbers * 0.0] * 3, axis=1)
