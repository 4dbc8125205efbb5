"""A run folder with a model that nobody trained, for tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from drawn_shards import drawn_frames

# Options of the recipe that change what the network is made of, all at once.
EVERY_OPTION = {
    "temporal_shift": True,
    "sequence_frames": 2,
    "frame_size": 40,
    "train_batch_norm": True,
    "fixed_blocks": 3,
}


def write_run(
    run_dir: Path,
    *,
    policy: str = "float32",
    num_frames: int = 4,
    glosses: Sequence[str] = ("book", "drink", "computer", "before", "chair"),
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a run folder.

    Its answers differ from clip to clip all the same, so that a test sees whether two
    of them agree by chance.

    Args:
        run_dir: The folder to make.
        policy: Keras's dtype policy that it is built in.
        num_frames: Frames of its clips, of 32 x 32 pixels.
        glosses: What its outputs mean.
        options: Options of the recipe, besides those that make it small.
    """
    import keras

    from wlasl_tfrecord.network import model_info, recipes
    from wlasl_tfrecord.shard_format import clips

    spec = clips.ClipSpec(num_frames=num_frames, height=32, width=32)
    options = {"weights": "none", "alpha": 0.35, "lstm_units": 16, **(options or {})}
    keras.utils.set_random_seed(5)
    network = recipes.load_recipe().build(spec, len(glosses), options)
    # Untrained, BatchNorm would let nothing through, and every gloss be as
    # probable as any other.
    backbone = network.get_layer("backbone")
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    frames = np.concatenate([drawn_frames(n, spec.shape) for n in range(0, 40, 5)])
    scaled = keras.ops.image.resize(
        frames.astype("float32") / 127.5 - 1, backbone.input_shape[1:3]
    )
    backbone(scaled, training=True)
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
    info = model_info.ModelInfo(
        glosses=tuple(glosses),
        clip=spec,
        framing="center",
        recipe={"name": "mobilenetv2_lstm", **options},
    )
    model_info.write_model_info(run_dir, info)
    return run_dir
