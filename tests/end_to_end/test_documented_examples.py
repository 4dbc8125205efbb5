"""The Python examples of the pages run as they are printed."""

import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from documented_examples import example, examples, run_alone, run_here

from wlasl_tfrecord import input_fn

EXAMPLES = examples()
# Tested below, for more than that they run.
WITH_OWN_TEST = {
    "A loop of your own under MirroredStrategy",
    "The iterator in a checkpoint",
    "Keras fit, resumed exactly",
    "grain, resumed exactly",
    "DALI and PyTorch's tfrecord",  # tests/interop: it wants clips of its own shape
}
# What the output of an example has, by its heading.
PRINTED = {
    "In your own project": ["Epoch 10/10", "val_accuracy"],
    "Use input_fn in your own project": [
        "3 18 (5, 16, 24, 3)",
        "(4, 5, 16, 24, 3) <dtype: 'uint8'>",
    ],
    # The progress bar has an end.
    "Keras fit": ["Epoch 2/2", "4/4", "val_accuracy"],
    "A network from elsewhere: a 3-D ConvNet": ["'accuracy'"],
    "NumPy": ["18 (5, 16, 24, 3) 0 book train00000"],
    "PyTorch": ["torch.Size([4, 5, 16, 24, 3]) torch.uint8 tensor(["],
    "JAX": ["[["],
}


@pytest.fixture(scope="module")
def folders(write_folder, tmp_path_factory):
    directory = tmp_path_factory.mktemp("examples")
    for codec in ("raw", "jpeg"):
        counts = {"train": 18, "val": 5}
        write_folder(directory / codec / "shards", counts, codec=codec)
    return directory


@pytest.fixture
def place(folders, tmp_path):
    """A directory of its own with `shards/`, where an example may write."""
    (tmp_path / "shards").symlink_to(folders / "raw" / "shards")
    return tmp_path


def test_every_page_has_its_examples():
    pages = [one.page for one in EXAMPLES]
    assert {page: pages.count(page) for page in pages} == {
        "README.md": 1,
        "docs/input_fn.md": 6,
        "docs/shard-format.md": 2,
        "docs/other-frameworks.md": 8,
    }
    headings = {one.heading for one in EXAMPLES}
    assert headings >= {*PRINTED, *WITH_OWN_TEST}


@pytest.mark.parametrize(
    "shown",
    [one for one in EXAMPLES if one.heading not in WITH_OWN_TEST],
    ids=lambda one: f"{one.page.split('/')[-1]}: {one.heading}",
)
def test_an_example_runs(shown, folders, tmp_path):
    if shown.missing:
        names = ", ".join(sorted(shown.missing))
        pytest.skip(f"there is no {names} here; bin/test --interop has what PyPI has")
    codec = "jpeg" if "image/encoded" in shown.code else "raw"
    (tmp_path / "shards").symlink_to(folders / codec / "shards")
    if shown.uses_tensorflow:
        with warnings.catch_warnings():
            if "tensorflow_datasets" in shown.packages:
                warnings.simplefilter("ignore")  # of packages that it imports
            _, printed = run_here(shown, tmp_path)
    else:
        printed = run_alone(shown.code, tmp_path)
    for expected in PRINTED.get(shown.heading, []):
        assert expected in printed


TWO_CPUS = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
"""


def test_the_example_of_a_custom_loop_trains_on_two_replicas(place):
    # Alone: TensorFlow mixes up the collective operations of two such strategies.
    code = example("A loop of your own under MirroredStrategy").code
    printed = run_alone(
        f"{TWO_CPUS}{code}\nprint(strategy.num_replicas_in_sync)", place
    )
    losses, evaluated, replicas = printed.splitlines()[-3:]
    values = [float(loss) for loss in re.findall(r"\d+\.\d+", losses)]
    assert len(values) == 8  # steps: 18 // 4, two epochs
    assert all(np.isfinite(values))
    assert re.fullmatch(r"[0-5] of 5 right", evaluated)
    assert replicas == "2"


@pytest.mark.parametrize("order", ["shuffled", "sequential"])
def test_the_example_of_a_checkpoint_resumes_exactly(place, order):
    names, _ = run_here(example("The iterator in a checkpoint"), place)

    def batches():
        shards = place / "shards"
        dataset = input_fn(shards, batch_size=4, num_epochs=3, order=order)
        return iter(dataset.with_options(names["options"]))

    first, again = batches(), batches()
    for _ in range(5):  # 4 steps an epoch
        next(first)
    stored = tf.train.Checkpoint(iterator=first).save(str(place / "steps"))
    tf.train.Checkpoint(iterator=again).restore(stored)
    left = list(zip(first, again, strict=True))
    assert len(left) == 7
    for (frames, labels), (same_frames, same_labels) in left:
        np.testing.assert_array_equal(frames, same_frames)
        np.testing.assert_array_equal(labels, same_labels)


def test_the_example_of_fit_resumes_exactly(place):
    shown = example("Keras fit, resumed exactly")
    saved = place / "mine.keras"
    keras.utils.set_random_seed(0)
    run_here(shown, place)
    whole = keras.models.load_model(saved)
    saved.unlink()
    keras.utils.set_random_seed(0)
    half = shown.code.replace("epochs=4", "epochs=2")
    assert half != shown.code
    run_here(type(shown)(page=shown.page, heading=shown.heading, code=half), place)
    _, printed = run_here(shown, place)
    assert "Epoch 3/4" in printed
    assert "Epoch 2/4" not in printed
    resumed = keras.models.load_model(saved)
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_example_of_grain_resumes_exactly(place):
    pytest.importorskip("grain", reason="there is no grain here; bin/test --interop")
    shown = example("grain, resumed exactly", "docs/other-frameworks.md")
    # In another process than the one that stored the state.
    run_alone(shown.code, place)
    code = shown.code.partition("first = batches()")[0] + (
        "first, resumed = batches(), batches()\n"
        "expected = [next(first)['record'].tolist() for _ in range(9)][5:]\n"
        "state = pathlib.Path('input-state.json').read_bytes()\n"
        "resumed.set_state(state)\n"
        "assert [next(resumed)['record'].tolist() for _ in range(4)] == expected\n"
        "print(len({str(batch) for batch in expected}))\n"
    )
    assert re.search("^4$", run_alone(code, place), re.MULTILINE)
