"""Each exported file where only its own runtime can be imported.

Links to installed packages stand in for an environment, which takes minutes to make:
tests/interop/test_exports.py makes them.
"""

import sys

import numpy as np
import pytest
from drawn_runs import EVERY_OPTION, write_run
from drawn_shards import drawn_frames
from runtimes import RUNTIMES, answers_there, write_runtime

from wlasl_tfrecord.inference.export import export_model
from wlasl_tfrecord.inference.trained_model import load_model, probabilities

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(trained_run, tmp_path_factory):
    """A model of the recipe as it is, and one of all its options."""
    run_dir = tmp_path_factory.mktemp("options") / "run"
    return {
        "default": load_model(trained_run),
        "every option": load_model(write_run(run_dir, options=EVERY_OPTION)),
    }


@pytest.mark.parametrize(
    ("export_format", "name"),
    [
        *((export_format, "default") for export_format in RUNTIMES),
        # What layers of Keras compute in any runtime, they compute in these two; an h5
        # file cannot hold these options.
        ("keras", "every option"),
        ("tflite", "every option"),
    ],
)
def test_a_file_needs_its_own_runtime_alone(models, tmp_path, export_format, name):
    model = models[name]
    runtime = write_runtime(tmp_path / "runtime", *RUNTIMES[export_format][0])
    path = export_model(model, tmp_path / "out", export_format).path
    clips = np.stack([drawn_frames(n, model.info.clip.shape) for n in (3, 20)])
    expected = probabilities(model, clips)
    assert np.abs(expected[0] - expected[1]).max() > 0.1
    # -S: no site-packages.
    answers = answers_there(
        [sys.executable, "-S"], {"PYTHONPATH": str(runtime)}, export_format, path, clips
    )
    np.testing.assert_allclose(answers, expected, atol=1e-3)
