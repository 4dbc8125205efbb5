import keras
import numpy as np
import pytest

from wlasl_tfrecord.cli import shard
from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.network import recipes
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.shard_folder import load_folder
from wlasl_tfrecord.synthetic import hand_backbone, poses
from wlasl_tfrecord.synthetic.poses import Motion
from wlasl_tfrecord.synthetic.videos import SyntheticConfig, write_videos

CLIP = ClipSpec(num_frames=4, height=32, width=32)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A small drawn set, sharded: the folder of shards and the plan."""
    root = tmp_path_factory.mktemp("drawn")
    config = SyntheticConfig(train_signers=2, val_signers=1, test_signers=1, repeats=1)
    videos = write_videos(root, config, workers=2)
    words = ["--src", root / "videos", "--out", root / "shards"]
    words += ["--num-frames", "4", "--size", "32", "--workers", "2"]
    assert shard.main([str(word) for word in words]) == 0
    return root / "shards", videos


def test_targets_peak_where_the_hand_is():
    low = hand_backbone.hand_targets(poses.pose_at("rise", 0.3, Motion()))
    high = hand_backbone.hand_targets(poses.pose_at("rise", 0.7, Motion()))
    assert low.shape == (10, 16)
    np.testing.assert_allclose(low.sum(1), 1, rtol=1e-5)
    # Row 1 is how far down the right hand is, row 6 the left one, which rests.
    assert low[1].argmax() > high[1].argmax()
    assert low[6].argmax() == high[6].argmax()


def test_each_frame_has_the_targets_of_its_own_pose(drawn):
    data, videos = drawn
    frames, targets = hand_backbone._frames_and_targets(load_folder(data), videos)
    num_train = sum(video.split == "train" for video in videos)
    assert frames.shape == (num_train * 4, 32, 32, 3)
    assert targets.shape == (num_train * 4, 10, 16)
    # First and last frame of every clip are at rest, in every sign.
    rest = hand_backbone.hand_targets(poses.pose_at("rise", 0.0, Motion()))
    for index in range(0, len(targets), 4):
        for at_rest in (targets[index], targets[index + 3]):
            np.testing.assert_allclose(at_rest, rest, atol=0.1)
        assert np.abs(targets[index + 1] - rest).max() > 0.1


def test_the_weights_fit_the_recipe_and_were_learnt(drawn, tmp_path):
    data, videos = drawn
    path = tmp_path / "new" / "hands.weights.h5"
    losses = []
    hand_backbone.train_backbone(
        data,
        videos,
        path,
        num_steps=30,
        batch_size=32,
        on_step=lambda _, loss: losses.append(loss),
    )
    assert len(losses) == 30
    # Keras reports the mean loss so far, so the last is well below the first.
    assert losses[-1] < losses[0] - 0.1
    assert [file.name for file in path.parent.iterdir()] == ["hands.weights.h5"]
    recipe = recipes.load_recipe()
    options = {"alpha": 0.35, "lstm_units": 8}
    taught = recipe.build(CLIP, 8, {"weights": str(path), **options})
    keras.utils.set_random_seed(0)
    untaught = recipe.build(CLIP, 8, {"weights": "none", **options})
    name = "Conv_1"
    one, other = (
        model.get_layer("backbone").get_layer(name).get_weights()[0]
        for model in (taught, untaught)
    )
    assert one.shape == other.shape
    assert not np.allclose(one, other)


def test_a_place_that_cannot_be_written_is_one_line(drawn, tmp_path):
    data, videos = drawn
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*hands\.weights\.h5"):
        hand_backbone.train_backbone(
            data,
            videos,
            tmp_path / "file" / "hands.weights.h5",
        )
