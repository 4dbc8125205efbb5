"""The blocks of a pretrained backbone, and which of them are trained.

The backbone is all that the layer `features` is computed from.
"""

from collections.abc import Sequence

import keras

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.network.layers import layers_within
from wlasl_tfrecord.network.recipes import Recipe

__all__ = [
    "backbone_model",
    "find_blocks",
    "freeze_backbone",
    "unfreeze_blocks",
]


# Their statistics stay those of the pretraining: a batch holds few different scenes.
_KEPT = (keras.layers.BatchNormalization, keras.layers.Normalization)


def backbone_model(model: keras.Model) -> keras.Model:
    """Returns the backbone: from the input to the layer `features`."""
    return keras.Model(model.input, model.get_layer("features").output)


def find_blocks(model: keras.Model, recipe: Recipe) -> list[list[keras.layers.Layer]]:
    """Groups the layers of the backbone as the recipe says, first to last.

    Raises:
        TrainingError: If the recipe does not say.
    """
    if recipe.backbone_blocks is None:
        raise TrainingError(
            f"{recipe.path} has no function backbone_blocks, so its backbone cannot be "
            "trained block by block; add one, or train without --remat and with "
            "--fine-tune-epochs 0"
        )
    return recipe.backbone_blocks(model)


def freeze_backbone(model: keras.Model) -> None:
    """Freezes everything that the layer `features` is computed from."""
    for layer in backbone_model(model).layers:
        layer.trainable = False


def unfreeze_blocks(
    model: keras.Model,
    blocks: Sequence[Sequence[keras.layers.Layer]],
    num_blocks: int,
) -> None:
    """Frees the last blocks of the backbone, and freezes all else that it has.

    Args:
        model: The network; what follows the layer `features` is left alone.
        blocks: Blocks from `find_blocks`. A layer in none of them stays frozen.
        num_blocks: Number of blocks to train, from the end. BatchNorm in them is not
            trained.
    """
    freed = {
        id(layer)
        for block in blocks[-num_blocks:]
        for holder in block
        for layer in layers_within(holder)
        if not isinstance(layer, _KEPT)
    }
    backbone = backbone_model(model)
    for layer in backbone.layers:
        layer.trainable = True
    # What holds a layer that is free must be so too, or Keras does not look into it.
    for layer in layers_within(backbone)[1:]:
        if freed.isdisjoint(map(id, layers_within(layer))):
            layer.trainable = False
