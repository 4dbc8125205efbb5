"""Each exported file in an environment that pip made for its runtime alone."""

import numpy as np
import pytest
from drawn_shards import drawn_frames
from other_environments import STATE, python_of
from runtimes import RUNTIMES, answers_there

from wlasl_tfrecord.inference.export import export_model
from wlasl_tfrecord.inference.trained_model import load_model, probabilities

pytestmark = [
    pytest.mark.skipif(STATE is None, reason="bin/test --interop runs it"),
    pytest.mark.timeout(3600),  # the first call installs gigabytes
]


@pytest.mark.parametrize("export_format", RUNTIMES)
def test_an_export_runs_where_pip_installed_its_runtime_alone(
    trained_run, tmp_path, export_format
):
    model = load_model(trained_run)
    path = export_model(model, tmp_path, export_format).path
    clips = np.stack([drawn_frames(n, model.info.clip.shape) for n in (3, 20)])
    python = python_of(f"runtime-{export_format}")
    answers = answers_there([python], {}, export_format, path, clips)
    np.testing.assert_allclose(answers, probabilities(model, clips), atol=1e-3)
