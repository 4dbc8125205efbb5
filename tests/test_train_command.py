"""bin/train and bin/evaluate as their users type them: one line for what is wrong."""

import subprocess
import sys

import pytest
from conftest import CHECKOUT

from wlasl_tfrecord.cli import evaluate, train

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn.t accept a copy keyword:DeprecationWarning"
)


@pytest.fixture(scope="module")
def shards(write_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    sizes = {"num_frames": 2, "height": 32, "width": 32}
    return str(write_folder(folder, {"train": 4, "val": 3}, **sizes))


SMALL = [
    "--weights", "none", "--alpha", "0.35", "--lstm-units", "8", "--epochs", "1",
    "--batch-size", "2", "--option", "dropout=0.25",
]  # fmt: skip


def test_a_model_is_trained_and_evaluated(shards, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train.main(["--data", shards, "--out", "runs/mine", *SMALL]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("best of 1 epochs in ")
    assert "model and curves in runs/mine/" in output.out
    assert "1 replica(s) of 2 clips" in output.err
    assert "all 1/1 | loss " in output.err
    assert evaluate.main(["--data", shards]) == 0
    assert "val: 3 clips of 3 glosses" in capsys.readouterr().out


def test_two_logical_cpus_share_a_batch(shards, tmp_path):
    # In a process of its own: TensorFlow's collective operations number themselves by
    # process, so a second strategy with other weights would clash with the first.
    module = [sys.executable, "-m", "wlasl_tfrecord.cli.train"]
    paths = ["--data", shards, "--out", str(tmp_path / "run")]
    devices = ["--strategy", "mirrored", "--logical-cpus", "2"]
    done = subprocess.run(
        [*module, *paths, *SMALL, *devices],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "2 replica(s) of 1 clips" in done.stderr
    assert "all 1/1 | loss " in done.stderr
    assert (tmp_path / "run" / "model.keras").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--batch-size", "0"], 2, "batch_size must be at least 1, got 0"),
        (["--option", "dropout"], 2, "--option must be NAME=VALUE, got 'dropout'"),
        (["--checkpoint-minutes", "-1"], 2, "--checkpoint-minutes must be at least 0"),
        (["--weights", "no.h5"], 1, "no weights file "),
        (["--weights", "none", "--alpha", "-1"], 1, "alpha must be above 0, got -1.0"),
        (["--model", "resnet"], 1, "no model recipe 'resnet'; known: mobilenetv2_lstm"),
        (["--batch-size", "5"], 2, "batch_size 5 is larger than the split"),
        (
            ["--strategy", "mirrored", "--batch-size", "3"],
            2,
            "--batch-size 3 does not divide among 2 replicas; take 4",
        ),
        (["--resume", "nowhere"], 1, "no run to go on with in nowhere"),
        (["--strategy", "multi_worker"], 1, "multi_worker does not know its workers"),
        (
            ["--strategy", "multi_worker", "--workers", "a:1,b:1"],
            1,
            "--worker-index must be from 0 to 1 for 2 workers, got None",
        ),
    ],
)
def test_bad_input_is_one_line(
    arguments, code, message, shards, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    defaults = ["--data", shards, "--batch-size", "2", "--out", "run"]
    assert train.main([*defaults, *arguments]) == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("wlasl-train: ")
    assert message in lines[-1]
    assert not any("Traceback" in line for line in lines)


def test_no_shards_are_named(tmp_path, capsys):
    assert train.main(["--data", str(tmp_path / "none")]) == 1
    assert "cannot read the shard folder" in capsys.readouterr().err
    assert train.main(["--data", str(tmp_path)]) == 1
    assert "no shards in" in capsys.readouterr().err
    (tmp_path / "index.json").write_text("{")
    (tmp_path / "dataset_info.json").write_text('{"version": "1.0.0"}')
    assert train.main(["--data", str(tmp_path)]) == 1
    assert "index.json is damaged" in capsys.readouterr().err


def test_no_run_is_named(shards, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert evaluate.main(["--data", shards]) == 1
    assert "no trained model under runs/; run bin/train" in capsys.readouterr().err
