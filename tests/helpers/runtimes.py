"""Programs that run an exported file with its own runtime, and where they run."""

import importlib.metadata
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from packaging.requirements import Requirement

_WITH_KERAS = (
    "import keras\n"
    "model = keras.models.load_model(path, compile=False)\n"
    "answer = np.asarray(model.predict(clips, verbose=0))\n"
)
# By format: the packages to install, what must not be there, and the program.
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
    "keras": (("keras", "tensorflow"), ("wlasl_tfrecord", "cv2", "onnx"), _WITH_KERAS),
    "h5": (
        ("keras", "tensorflow", "h5py"),
        ("wlasl_tfrecord", "cv2", "onnx"),
        _WITH_KERAS,
    ),
}


def answers_there(
    python: Sequence[str],
    environment: Mapping[str, str],
    export_format: str,
    path: Path,
    clips: NDArray[Any],
) -> NDArray[Any]:
    """Runs an exported file in another Python, which must lack all other runtimes.

    Args:
        python: The command that starts it.
        environment: Its variables, besides those that every such program gets.
        export_format: A key of `RUNTIMES`.
        path: What `export_model` wrote.
        clips: uint8 [B, T, H, W, 3].

    Returns:
        The probabilities that it computes, float32 [B, n].
    """
    _, absent, program = RUNTIMES[export_format]
    inputs, outputs = (path.parent / name for name in ("clips.npy", "answer.npy"))
    np.save(inputs, clips)
    code = (
        "import sys, importlib.util\n"
        f"found = [n for n in {absent!r} if importlib.util.find_spec(n)]\n"
        "assert not found, found\n"
        "import numpy as np\n"
        "path, clips = sys.argv[1], np.load(sys.argv[2])\n"
        f"{program}"
        "np.save(sys.argv[3], answer)\n"
    )
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [*python, "-c", code, str(path), str(inputs), str(outputs)],
        cwd=path.parent,
        env={
            **kept,
            **environment,
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return np.load(outputs)


def write_runtime(folder: Path, *names: str) -> Path:
    """Makes a folder with links to installed packages and to all that they require.

    Args:
        folder: The folder to make.
        names: Distributions, as pip names them.
    """
    folder.mkdir(parents=True)
    wanted, seen = list(names), set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        for line in distribution.requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
        for file in distribution.files or ():
            top = file.parts[0]
            link = folder / top
            if top not in ("..", "__pycache__") and not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))))
    return folder
