"""The blocks of a backbone: which weights are trained, in which phase."""

import pytest
from small_training import RECIPE

from wlasl_tfrecord.network.backbone import (
    find_blocks,
    freeze_backbone,
    unfreeze_blocks,
)
from wlasl_tfrecord.network.recipes import load_recipe
from wlasl_tfrecord.shard_format.clips import ClipSpec

CLIP = ClipSpec(num_frames=2, height=16, width=16)


def trained(model):
    """Names the layers that have weights to train."""
    return {variable.path.split("/")[-2] for variable in model.trainable_weights}


@pytest.mark.parametrize(
    ("blocks", "convolutions"),
    [
        # All there are, first to last; one is trained.
        (None, {"conv1"}),
        # The last one alone: what no block has stays as it was pretrained.
        ("[[backbone.get_layer('conv1'), backbone.get_layer('norm1')]]", {"conv1"}),
        # A model as a block, with all that it holds.
        ("[[backbone]]", {"conv0", "conv1"}),
    ],
)
def test_the_last_blocks_are_trained_but_no_batch_norm(blocks, convolutions, tmp_path):
    path = tmp_path / "mine.py"
    before, after = RECIPE.rsplit("    return [", 1)
    path.write_text(f"{before}    return {blocks or '[' + after}")
    recipe = load_recipe(path)
    # With weights "none" its BatchNorm is not held fixed by the recipe itself.
    model = recipe.build(CLIP, 3, {"weights": "none"})
    head = {"lstm_cell", "logits"}
    freeze_backbone(model)
    assert trained(model) == head
    unfreeze_blocks(model, find_blocks(model, recipe), 1)
    assert trained(model) == head | convolutions
