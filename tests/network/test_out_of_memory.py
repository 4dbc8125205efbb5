"""Out of memory without gradients: one line each, in a process that has too little."""

import json
import os
import subprocess
import sys

import pytest
from checkout import CHECKOUT

from wlasl_tfrecord.errors import OutOfMemoryError
from wlasl_tfrecord.network.out_of_memory import (
    batch_size_options,
    one_line_out_of_memory,
)

# A network that makes 600 MB of each clip, forward alone. The check of a recipe is run
# eagerly, and would leave so much to TensorFlow's pool.
RECIPE = """
import keras
import tensorflow as tf

class Large(keras.layers.Layer):
    def call(self, x):
        if tf.executing_eagerly():
            return x
        return keras.ops.mean(keras.ops.tile(x[..., None], (1, 1, 5 * 10**7)), axis=-1)

def build_model(clip, num_classes, *, weights="imagenet"):
    frames = keras.Input(clip.shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(frames)
    x = Large()(keras.layers.GlobalAveragePooling3D()(x))
    x = keras.layers.RepeatVector(2, name="features")(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(frames, keras.layers.Dense(num_classes, name="logits")(x))
"""
# Everything that is run forward alone, with 300 MB more than is in use already.
LIMITED = """
import json, re, resource, sys
from pathlib import Path
import numpy as np
from wlasl_tfrecord.errors import OutOfMemoryError
from wlasl_tfrecord.evaluation.evaluation import evaluate
from wlasl_tfrecord.inference import prediction, trained_model
from wlasl_tfrecord.network import model_info, recipes, saving
from wlasl_tfrecord.serving.options import ServeOptions
from wlasl_tfrecord.serving.recogniser import Recogniser
from wlasl_tfrecord.shard_format.shard_folder import load_folder
from wlasl_tfrecord.training import recipe_check, trainer
from wlasl_tfrecord.training.config import TrainConfig

shards, place, video = map(Path, sys.argv[1:])
folder = load_folder(shards)
recipe = recipes.load_recipe(place / "large.py")
network = saving.build_model(recipe, folder, {}, "float32")
info = model_info.ModelInfo(
    glosses=folder.glosses,
    clip=folder.clip,
    framing=folder.framing,
    recipe_sha256=recipe.sha256,
)
saving.save_model(place, network, network, info, True)
model = trained_model.load_model(place, recipe.path)

def train():
    config = TrainConfig(
        recipe=str(recipe.path), weights="x", epochs=1, batch_size=4, feature_views=1
    )
    trainer.train(shards, place / "run", config, say=limit_when_it_begins)

def limit_when_it_begins(line):
    # After the check of the recipe, which runs one clip.
    if line.startswith("training "):
        status = Path("/proc/self/status").read_text()
        used = int(re.search(r"VmData:\\s+(\\d+)", status)[1])
        limit = used * 1024 + 300 * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

def check():
    path = place / "eager.py"
    path.write_text(recipe.content.decode().replace("tf.executing_eagerly()", "False"))
    config = TrainConfig(recipe=str(path), weights="none")
    recipe_check.check_recipe(recipes.load_recipe(path), folder, config)

lines = {}
for name, run in {
    "feature caching": train,
    "evaluation": lambda: evaluate(
        shards, place, "val", batch_size=4, recipe=recipe.path
    ),
    "prediction": lambda: list(prediction.predict_videos(model, [video])),
    "serving": lambda: Recogniser(model, ServeOptions()),
    "the check of the recipe": check,
}.items():
    try:
        run()
    except OutOfMemoryError as error:
        lines[name] = str(error)
print(json.dumps(lines))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_out_of_memory_says_what_did_not_fit(
    shards, numbered_video, tmp_path
):
    (tmp_path / "large.py").write_text(RECIPE)
    video = numbered_video(tmp_path / "sign.mp4", num_frames=5)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(shards), str(tmp_path), str(video)],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = json.loads(done.stdout.splitlines()[-1])
    start = "of 3 frames of 16x16 do not fit on a device at once, forward alone. What "
    rest = "end other programs that use much memory; a smaller network (--alpha), or"
    for name, num_clips, option in (
        ("feature caching", 1, "--batch-size 1 and another --out; "),
        ("evaluation", 1, "--batch-size 1; "),
        ("prediction", 1, ""),
        ("serving", 1, ""),
    ):
        doing = "prediction" if name == "serving" else name
        assert lines[name].startswith(
            f"out of memory in {doing}: {num_clips} clip(s) {start}helps, the best "
            f"first: {option}{rest}"
        )
    line = lines["the check of the recipe"]
    assert f"1 clip(s) {start}".replace("forward alone", "forward and backward") in line


def test_a_smaller_batch_is_proposed_if_there_is_one():
    assert batch_size_options(16, 1) == ["--batch-size 4"]
    assert batch_size_options(6, 2) == ["--batch-size 2"]
    assert batch_size_options(2, 2) == []


def test_memory_errors_of_python_count_too():
    def fail(error):
        with one_line_out_of_memory(lambda: "too little"):
            raise error

    with pytest.raises(OutOfMemoryError, match=r"^too little$"):
        fail(MemoryError())
    with pytest.raises(ValueError, match="other"):
        fail(ValueError("other"))
