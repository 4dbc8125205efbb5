"""bin/train and bin/evaluate as their users type them: one line for what is wrong."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from checkout import CHECKOUT
from training_processes import RECIPE

from wlasl_tfrecord import files
from wlasl_tfrecord.cli import evaluate, train


@pytest.fixture(scope="module")
def shards(write_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shards"
    sizes = {"num_frames": 2, "height": 32, "width": 32}
    return str(write_folder(folder, {"train": 4, "val": 3}, **sizes))


def test_a_model_is_trained_and_evaluated(shards, tmp_path, capsys, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    backbone = keras.applications.MobileNetV2(
        (32, 32, 3),
        0.35,
        include_top=False,
        weights=None,  # pyright: ignore[reportArgumentType]
    )
    backbone.save_weights("backbone.weights.h5")
    small = [
        "--weights", "backbone.weights.h5", "--alpha", "0.35", "--lstm-units", "8",
        "--epochs", "1", "--batch-size", "2", "--option", "dropout=0.25",
    ]  # fmt: skip
    assert train.main(["--data", shards, "--out", "runs/mine", *small]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("best of 1 epochs in ")
    assert "model and curves in runs/mine/" in output.out
    assert "1 replica(s) of 2 clips" in output.err
    assert "head 1/1 | loss " in output.err
    assert evaluate.main(["--data", shards]) == 0
    assert "val: 3 clips of 3 glosses" in capsys.readouterr().out


def test_two_logical_cpus_share_a_batch(shards, tiny, tmp_path):
    # In a process of its own: TensorFlow's collective operations number themselves by
    # process, so a second strategy with other weights would clash with the first.
    module = [sys.executable, "-m", "wlasl_tfrecord.cli.train"]
    paths = ["--data", shards, "--out", str(tmp_path / "run")]
    devices = ["--strategy", "mirrored", "--logical-cpus", "2"]
    done = subprocess.run(
        [*module, *paths, *tiny, *devices],
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
        (
            ["--weights", "none", "--alpha", "-1"],
            1,
            "alpha must be above 0 and at most 4, got",
        ),
        (["--model", "resnet"], 1, "no model recipe 'resnet'; known: landmarks_lstm"),
        (["--batch-size", "5"], 2, "batch_size 5 is larger than the split"),
        (
            ["--strategy", "mirrored", "--batch-size", "3"],
            2,
            "--batch-size 3 does not divide among 2 replicas; take 4",
        ),
        (["--resume", "nowhere"], 1, "no run to resume in nowhere"),
        (["--checkpoint-minutes", "nan"], 2, "must be at least 0, got nan"),
        (["--learning-rate", "inf"], 2, "learning_rate must be above 0, got inf"),
        (["--weight-decay", "nan"], 2, "weight_decay must be at least 0, got nan"),
        (["--strategy", "multi_worker"], 1, "multi_worker does not know its workers"),
        (["--data-service", "here"], 2, "a data service is grpc://host:port, got 'h"),
        (
            ["--data-service", "grpc://127.0.0.1:1", "--connect-timeout", "0.2"],
            1,
            "no dispatcher at grpc://127.0.0.1:1 (Connection refused) within --conn",
        ),
        (
            ["--data-service", "grpc://127.0.0.1:1", "--max-bad-records", "1"],
            2,
            "leave out --max-bad-records, or the service",
        ),
        (
            ["--strategy", "multi_worker", "--fit-memory"],
            2,
            "--fit-memory tries on one machine; find the number there by --check",
        ),
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


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Options for a network that is built and traced in a second."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.py"
    path.write_text(RECIPE)
    return ["--model", str(path), "--weights", "none", "--epochs", "1",
            "--batch-size", "2"]  # fmt: skip


@pytest.fixture(scope="module")
def finished(shards, tiny, tmp_path_factory):
    """A run of one epoch, and the folder that its command was typed in."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert train.main(["--data", shards, "--out", "run", *tiny]) == 0
    return folder


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--epochs", "60"], "(epochs 1, not 60)"),
        (
            ["--batch-size", "4", "--learning-rate", "9"],
            "(batch_size 2, not 4; learning_rate 0.001, not 9.0)",
        ),
        (["--alpha", "1.0"], "not {'alpha': 1.0})"),
        (["--option", "units=3"], "'units': 3"),
        (["--weights", "x.h5"], "(weights none, not "),
        (["--model", "x.py"], "no model recipe at "),
        (["--model", "mobilenetv2_lstm"], "is not the recipe that was trained with"),
        (["--no-augment"], "(augment True, not False)"),
        (["--deterministic"], "(deterministic False, not True)"),
        (["--out", "other"], "trains in that folder, not in --out other; omit"),
        (["--data", "nowhere"], "cannot read the shard folder nowhere"),
        (["--learning-rate", "-1"], "learning_rate must be above 0, got -1"),
    ],
)
def test_resume_refuses_what_the_run_was_not_started_with(
    finished, typed, message, capsys, monkeypatch
):
    monkeypatch.chdir(finished)
    before = (finished / "run" / "config.json").read_bytes()
    assert train.main(["--resume", "run", *typed]) in (1, 2)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("wlasl-train: ")
    assert message in last
    assert not (finished / "other").exists()
    assert (finished / "run" / "config.json").read_bytes() == before


def test_resume_takes_what_may_change(
    finished, shards, tiny, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(finished)
    moved = tmp_path / "moved"
    shutil.copytree(shards, moved)
    same = ["--out", "./run", "--epochs", "1", "--weights", "none"]
    free = ["--data", str(moved), "--strategy", "none", "--checkpoint-minutes", "1"]
    assert train.main(["--resume", "run", *same, *free]) == 0
    assert "resuming from step 2 in run" in capsys.readouterr().err
    typed = ["--resume", "run", "--max-bad-records", "2"]
    arguments = train._typed(train.train_parser().parse_args(typed), typed)
    assert train._resumed("run", arguments)[2].max_bad_records == 2
    assert train.main(["--data", shards, "--out", "run", *tiny, *typed[2:]]) == 0


def test_other_shards_and_rewritten_ones_are_told_apart(
    finished, shards, write_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(finished)
    sizes = {"num_frames": 2, "height": 32, "width": 32}
    other = write_folder(tmp_path / "other", {"train": 5, "val": 3}, **sizes)
    assert train.main(["--resume", "run", "--data", str(other)]) == 1
    assert f"(data {shards}, not {other}, which holds" in capsys.readouterr().err
    shutil.copytree("run", tmp_path / "run")
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace(shards, str(other)))
    command = ["--resume", str(tmp_path / "run"), "--data", str(other)]
    assert train.main(command) == 1
    assert f"(the shards in {other} were rewritten since)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [("data", "http://127.0.0.1:9/shards"), ("weights", "/home/you/some.h5")],
)
def test_what_a_received_run_names_is_not_opened_unasked(
    finished, shards, tmp_path, capsys, name, value
):
    received = tmp_path / "received"
    shutil.copytree(finished / "run", received)
    stored = json.loads((received / "config.json").read_text())
    (stored if name == "data" else stored["training"])[name] = value
    (received / "config.json").write_text(json.dumps(stored))
    # Even a run that is otherwise its user's own: it is the whole file that counts.
    given = [] if name == "data" else ["--data", shards]
    assert train.main(["--resume", str(received), *given]) == 1
    assert f"so {value}, which it names, is not opened unasked; name it, or" in (
        capsys.readouterr().err
    )
    if name == "data":
        assert train.main(["--resume", str(received), "--data", shards]) == 0


def test_runs_named_by_the_time_get_folders_of_their_own(
    shards, tiny, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    stopped = SimpleNamespace(strftime=lambda _: "20250101-120000")
    monkeypatch.setattr(train, "time", stopped)
    # As another run leaves it that was started in the same second.
    (tmp_path / "runs" / "20250101-120000").mkdir(parents=True)
    assert train.main(["--data", shards, *tiny]) == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert names == ["20250101-120000", "20250101-120000-2"]
    assert train.main(["--data", str(tmp_path)]) == 1
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == names
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "runs").write_text("in the way")
    monkeypatch.chdir(tmp_path / "sub")
    assert train.main(["--data", shards, *tiny]) == 1
    assert "cannot create runs/20250101-120000 (" in capsys.readouterr().err


def test_workers_must_be_told_their_folder(shards, capsys):
    assert train.main(["--data", shards, "--strategy", "multi_worker"]) == 2
    assert "multi_worker needs --out, the same on every" in capsys.readouterr().err


def test_a_run_folder_belongs_to_one_run_at_a_time(shards, tiny, tmp_path, capsys):
    out = tmp_path / "run"
    out.mkdir()
    with files.locked(out):
        assert train.main(["--data", shards, "--out", str(out), *tiny]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"another run is writing to {out}; wait for it, or choose another" in last
    assert not list(out.iterdir())


def test_an_unknown_default_of_a_recipe_is_named(shards, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text('TRAINING = {"epoch": 3}\n')
    assert train.main(["--data", shards, "--model", str(path)]) == 1
    assert "TRAINING has 'epoch', which is no option of a training" in (
        capsys.readouterr().err
    )
