import json

import keras
import numpy as np
import pytest
from drawn_shards import drawn_frames

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.inference import trained_model


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_trained_in_16_bits_computes_in_float32(
    policy, trained_run, tmp_path, write_run
):
    run_dir = write_run(tmp_path / "run", policy=policy)
    stored = keras.models.load_model(run_dir / "model.keras", compile=False)
    assert stored.get_layer("temporal").compute_dtype == policy.removeprefix("mixed_")
    loaded = trained_model.load_model(run_dir)
    layers = [*loaded.network.layers, *loaded.network.get_layer("backbone").layers]
    assert {layer.compute_dtype for layer in layers} == {"float32"}
    assert loaded.network.get_layer("temporal").use_cudnn is False
    # The same seed as the float32 model: the same weights, so the same answers.
    clips = drawn_frames(0, loaded.info.clip.shape)[None]
    one = trained_model.probabilities(loaded, clips)
    other = trained_model.probabilities(trained_model.load_model(trained_run), clips)
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_run_without_a_model_is_one_line(tmp_path):
    with pytest.raises(
        TrainingError, match=r"no trained model in .*; run bin/train first"
    ):
        trained_model.load_model(tmp_path)


def test_a_missing_model_file_is_one_line(trained_run, tmp_path):
    (tmp_path / "model.json").write_bytes((trained_run / "model.json").read_bytes())
    with pytest.raises(TrainingError, match=r"it has no model\.keras; run bin/train"):
        trained_model.load_model(tmp_path)


def test_a_damaged_model_is_one_line(trained_run, tmp_path):
    (tmp_path / "model.json").write_bytes((trained_run / "model.json").read_bytes())
    whole = (trained_run / "model.keras").read_bytes()
    (tmp_path / "model.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        TrainingError, match=r"cannot load .*model\.keras \(.*train again"
    ):
        trained_model.load_model(tmp_path)


def test_a_model_of_another_training_is_refused(trained_run, tmp_path):
    info = json.loads((trained_run / "model.json").read_text())
    info["glosses"].append("go")
    (tmp_path / "model.json").write_text(json.dumps(info))
    (tmp_path / "model.keras").write_bytes((trained_run / "model.keras").read_bytes())
    with pytest.raises(TrainingError, match=r"they are not from the same training run"):
        trained_model.load_model(tmp_path)


def test_a_model_that_gives_no_numbers_is_refused(trained_run):
    model = trained_model.load_model(trained_run)
    bias = model.network.get_layer("logits").bias
    bias.assign(np.full(bias.shape, np.nan, np.float32))
    with pytest.raises(TrainingError, match="gives probabilities that are no numbers"):
        model.warm_up()


def test_clips_are_computed_a_few_at_a_time_with_the_same_answers(trained_run):
    model = trained_model.load_model(trained_run)
    clips = np.stack([drawn_frames(n, model.info.clip.shape) for n in range(5)])
    assert 1 <= trained_model.most_clips_at_once() < len(clips)
    together = trained_model.probabilities(model, clips)
    alone = [trained_model.probabilities(model, clip[None])[0] for clip in clips]
    np.testing.assert_allclose(together, alone, atol=1e-6)
