"""A network that takes much memory in training, for tests."""

# A recipe that makes 400 MB of each clip when several are trained at once.
RECIPE = """
import keras

class Large(keras.layers.Layer):
    def call(self, x, training=False):
        if not training or x.shape[0] == 1:
            return x
        return keras.ops.mean(keras.ops.tile(x[..., None], (1, 1, 10**8)), axis=-1)

def build_model(clip, num_classes, *, weights="imagenet"):
    frames = keras.Input(clip.shape, dtype="uint8")
    x = keras.layers.GlobalAveragePooling3D()(keras.layers.Rescaling(1 / 255)(frames))
    x = keras.layers.Dense(1)(x)
    return keras.Model(frames, keras.layers.Dense(num_classes)(Large()(x)))
"""
