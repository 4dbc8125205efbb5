"""What a Beam worker does, and what is refused; tests/interop runs real runners."""

import importlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from object_stores import BUCKET, running_store, upload_folder
from sharding import OPTIONS, folder_bytes, manifest_of, shard_here

from wlasl_tfrecord.decoder_pool.jobs import VideoLimits
from wlasl_tfrecord.errors import OutputError, WlaslError
from wlasl_tfrecord.sharding import beam_run, sharder
from wlasl_tfrecord.sharding.beam_run import BeamRunner, write_on_runner, write_planned
from wlasl_tfrecord.sharding.output_folder import open_work_folder
from wlasl_tfrecord.sharding.run_plan import plan_folder
from wlasl_tfrecord.sharding.sharder import write_shards
from wlasl_tfrecord.storage.object_store import ObjectStore

RUNNER = BeamRunner(name="DirectRunner")


@pytest.fixture
def plan(few_videos, tmp_path):
    plan = plan_folder(manifest_of(few_videos), tmp_path / "s", options=OPTIONS)
    (tmp_path / "s").mkdir()
    open_work_folder(plan.out, plan.options, plan.work_files)
    return plan


def in_this_process(monkeypatch, names_of=lambda names: names):
    """Has the elements written here, one after the other, in place of a runner."""

    def run(beam, runner, names, write):
        for name in names_of(names):
            write(name)

    monkeypatch.setattr(beam_run, "import_beam", lambda: None)
    monkeypatch.setattr(beam_run, "_run", run)


def test_an_element_writes_its_shard_once(plan, monkeypatch):
    # Each twice, as when a worker died before it could say that it had finished.
    in_this_process(monkeypatch, lambda names: [*names, *names])
    settled = []
    settle = beam_run.settle_shard
    monkeypatch.setattr(
        beam_run,
        "settle_shard",
        lambda shard, path: (settled.append(shard.name), settle(shard, path)),
    )
    written = write_on_runner(plan, VideoLimits(), 1, RUNNER)
    assert sorted(written) == settled == sorted(shard.name for shard in plan.shards)
    assert sum(len(shard.clips) for shard in written.values()) == 3


def test_a_job_that_leaves_a_shard_out_is_an_error(plan, monkeypatch):
    in_this_process(monkeypatch, lambda names: names[1:])
    with pytest.raises(OutputError, match=r"DirectRunner did not finish \(it ended"):
        write_on_runner(plan, VideoLimits(), 1, RUNNER)


def test_a_job_that_fails_says_how_far_it_came(plan, monkeypatch):
    def names_of(names):
        yield names[0]
        raise RuntimeError("many lines\nworker lost")

    in_this_process(monkeypatch, names_of)
    with pytest.raises(
        OutputError,
        match=r"DirectRunner did not finish \(worker lost\): 1 of \d+ shards are "
        "written; run the same command again: it resumes",
    ):
        write_on_runner(plan, VideoLimits(), 1, RUNNER)


def test_a_worker_without_the_tasks_fails(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_planned(
            (name := "wlasl-train.tfrecord-00000-of-00001"),
            out=str(tmp_path),
            digests={name: "0" * 64},
            options=OPTIONS,
            limits=VideoLimits(),
            num_workers=1,
        )


def test_tasks_of_somebody_else_are_not_done(plan, monkeypatch, tmp_path):
    # Whoever writes to the folder could name files to make, and what to put there.
    def names_of(names):
        path = tmp_path / "s" / ".shard-work" / f"{names[0]}.tasks"
        head, *tasks = path.read_bytes().split(b"\n")
        videos = ["s3://theirs/videos", {"../../elsewhere": 1}]
        head = json.dumps({**json.loads(head), "videos": videos}).encode()
        path.write_bytes(b"\n".join([head, *tasks]))
        return names

    in_this_process(monkeypatch, names_of)
    with pytest.raises(OutputError, match=r"finish .*is not what was planned.* 0 of"):
        write_on_runner(plan, VideoLimits(), 1, RUNNER)


def test_without_beam_it_says_how_to_get_it(few_videos, tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(WlaslError, match=r"--runner needs Apache Beam .*\[beam\]"):
        write_shards(
            manifest_of(few_videos), tmp_path / "s", options=OPTIONS, runner=RUNNER
        )
    assert not (tmp_path / "s").exists()


def test_a_runner_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"runner must be one of DirectRunner, .* got"):
        BeamRunner(name="FastRunner")  # pyright: ignore[reportArgumentType]


def test_options_of_a_runner_need_one(src, tmp_path, capsys):
    assert shard_here(src, tmp_path / "s", "--runner-args=--x 1") == 2
    assert "--runner-args is for --runner, which is missing" in capsys.readouterr().err
    assert shard_here(src, tmp_path / "s", "--join", "--runner", "DirectRunner") == 2
    assert "--join and --runner are two ways to use" in capsys.readouterr().err


def test_a_run_on_a_runner_has_the_bytes_of_one_process(
    src, tmp_path, undisturbed, monkeypatch
):
    in_this_process(monkeypatch)
    monkeypatch.setattr(sharder, "import_beam", lambda: None)
    assert shard_here(src, tmp_path / "s", "--runner", "DirectRunner") == 0
    assert folder_bytes(tmp_path / "s") == undisturbed


def test_workers_need_no_disk_in_common(
    src, tmp_path, undisturbed, monkeypatch, capsys
):
    in_this_process(monkeypatch, lambda names: [*names[:20], names[0]])
    monkeypatch.setattr(sharder, "import_beam", lambda: None)
    out, videos = f"s3://{BUCKET}/beam/out", f"s3://{BUCKET}/beam/videos"
    more = ("--runner", "DirectRunner")
    with running_store() as server:
        upload_folder(src, videos)
        assert shard_here(videos, out, *more) == 1
        assert "20 of 24 shards are written; run the same" in capsys.readouterr().err
        in_this_process(monkeypatch)
        server.reset()
        assert shard_here(videos, out, *more) == 0
        # By the workers: what was finished is not written again.
        assert server.count("/beam/out/wlasl-train.tfrecord-00015", "PUT") == 0
        assert server.count("/beam/out/wlasl-val.tfrecord-", "PUT") == 4
        for name in ObjectStore(out).walk():
            content = ObjectStore(out).read(name).data
            (tmp_path / name).write_bytes(content)
    assert folder_bytes(tmp_path) == undisturbed


def test_workers_of_this_machine_import_nothing_beside_the_videos(
    tmp_path, monkeypatch
):
    (tmp_path / "json.py").write_text("open('was-run', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)

    class Pipeline:
        """Starts a worker as DirectRunner does."""

        def __init__(self, options):
            pass

        def __or__(self, step):
            return self

        def run(self):
            command = [sys.executable, "-m", "json.tool", "--help"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            find = "import wlasl_tfrecord"
            subprocess.run([sys.executable, "-c", find], check=True)
            return SimpleNamespace(wait_until_finish=lambda: None)

    step: Any = MagicMock()
    options = SimpleNamespace(PipelineOptions=lambda _: None)
    monkeypatch.setattr(beam_run.importlib, "import_module", lambda _: options)
    beam = SimpleNamespace(Pipeline=Pipeline, Create=step, Reshuffle=step, Map=step)
    beam_run._run(beam, RUNNER, ["a"], len)
    assert not (tmp_path / "was-run").exists()
    assert "PYTHONSAFEPATH" not in os.environ
