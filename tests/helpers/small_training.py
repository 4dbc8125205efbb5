"""A network so small that it is traced in a second, and a run of it, for tests."""

import numpy as np

from wlasl_tfrecord.training.config import TrainConfig

# Small enough to be traced in a second, with all parts that a real one has: a backbone
# with blocks and BatchNorm, features, dropout, an LSTM, logits.
RECIPE = """
import keras

def build_model(
    clip, num_classes, *, weights="imagenet", dropout=0.0, units=8, fold_time=True
):
    inputs = keras.Input(clip.shape[1:])
    x = inputs
    for index in range(2):
        x = keras.layers.Conv2D(4, 3, 2, name=f"conv{index}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{index}", momentum=0.9)(x)
        x = keras.layers.Activation("relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    backbone = keras.Model(inputs, x, name="backbone")
    if weights != "none":
        for layer in backbone.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
    frames = keras.Input(clip.shape, dtype="uint8", name="frames")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(frames)
    if fold_time:
        x = backbone(keras.ops.reshape(x, (-1, *clip.shape[1:])))
        x = keras.ops.reshape(x, (-1, clip.num_frames, 4))
    else:
        x = keras.layers.TimeDistributed(backbone)(x)
    x = keras.layers.Identity(name="features")(x)
    x = keras.layers.LSTM(units)(x)
    x = keras.layers.Dropout(dropout)(x)
    x = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    x = keras.layers.Softmax(dtype="float32")(x)
    return keras.Model(frames, x)

def backbone_blocks(model):
    backbone = model.get_layer("backbone")
    return [
        [backbone.get_layer(f"conv{i}"), backbone.get_layer(f"norm{i}")]
        for i in range(2)
    ]
"""


def config(recipe, **changes):
    values = {
        "recipe": recipe,
        "weights": "somewhere",
        "epochs": 3,
        "batch_size": 4,
        "learning_rate": 0.01,
        "precision": "float32",
        "feature_views": 2,
    }
    return TrainConfig(**(values | changes))


def final_weights(run_dir):
    import keras

    model = keras.models.load_model(run_dir / "model.keras", compile=False)
    return [np.array(weight) for weight in model.weights]


def run(shards, out, configuration, **options):
    from wlasl_tfrecord.training import trainer

    lines = []
    report = trainer.train(shards, out, configuration, say=lines.append, **options)
    return report, lines
