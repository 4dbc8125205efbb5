"""Each exported file in an environment that has only its own runtime."""

import numpy as np
import pytest
from drawn_shards import drawn_frames
from runtimes import run_there, write_runtime

from wlasl_tfrecord.inference.export import export_model
from wlasl_tfrecord.inference.trained_model import load_model, probabilities

pytestmark = pytest.mark.slow

# The packages to install, what must not be there, and the program.
RUNTIMES = {
    "saved_model": (
        ("tensorflow",),
        ("wlasl_tfrecord", "cv2", "onnx"),
        "import tensorflow as tf\n"
        "loaded = tf.saved_model.load(path)\n"
        "serve = loaded.signatures['serving_default']\n"
        "answer = serve(frames=tf.constant(clips))['probabilities'].numpy()\n",
    ),
    "tflite": (
        ("ai-edge-litert", "numpy"),
        ("wlasl_tfrecord", "tensorflow", "keras"),
        "from ai_edge_litert.interpreter import Interpreter\n"
        "run = Interpreter(path).get_signature_runner()\n"
        "rows = [run(frames=clip[None])['probabilities'] for clip in clips]\n"
        "answer = np.concatenate(rows)\n",
    ),
    "onnx": (
        ("onnxruntime", "numpy"),
        ("wlasl_tfrecord", "tensorflow", "keras", "onnx", "tf2onnx"),
        "import onnxruntime\n"
        "session = onnxruntime.InferenceSession(path)\n"
        "[answer] = session.run(['probabilities'], {'frames': clips})\n",
    ),
    "keras": (
        ("keras", "tensorflow"),
        ("wlasl_tfrecord", "cv2", "onnx"),
        "import keras\n"
        "model = keras.models.load_model(path, compile=False)\n"
        "answer = np.asarray(model.predict(clips, verbose=0))\n",
    ),
    "h5": (
        ("keras", "tensorflow", "h5py"),
        ("wlasl_tfrecord", "cv2", "onnx"),
        "import keras\n"
        "model = keras.models.load_model(path, compile=False)\n"
        "answer = np.asarray(model.predict(clips, verbose=0))\n",
    ),
}


@pytest.fixture(scope="module")
def model(trained_run):
    return load_model(trained_run)


@pytest.mark.parametrize("export_format", RUNTIMES)
def test_a_file_needs_its_own_runtime_alone(model, tmp_path, export_format):
    packages, absent, program = RUNTIMES[export_format]
    runtime = write_runtime(tmp_path / "runtime", *packages)
    path = export_model(model, tmp_path / "out", export_format).path
    clips = np.stack([drawn_frames(n, model.info.clip.shape) for n in (3, 20)])
    np.save(tmp_path / "clips.npy", clips)
    code = (
        "import sys, importlib.util\n"
        f"found = [n for n in {absent!r} if importlib.util.find_spec(n)]\n"
        "assert not found, found\n"
        "import numpy as np\n"
        "path, clips = sys.argv[1], np.load(sys.argv[2])\n"
        f"{program}"
        "np.save(sys.argv[3], answer)\n"
    )
    files = [str(tmp_path / name) for name in ("clips.npy", "answer.npy")]
    run_there(runtime, code, str(path), *files)
    np.testing.assert_allclose(
        np.load(files[1]), probabilities(model, clips), atol=1e-3
    )
