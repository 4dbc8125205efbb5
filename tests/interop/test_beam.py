"""Apache Beam's runners write the bytes of one process: bin/test --interop.

Beam has an environment of its own: it wants older releases of packages that others
need.
"""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from checkout import CHECKOUT
from object_stores import BUCKET, running_store, upload_folder
from other_environments import STATE, python_of
from sharding import folder_bytes, wait_for

from wlasl_tfrecord.storage.object_store import ObjectStore

pytestmark = [
    pytest.mark.skipif(STATE is None, reason="bin/test --interop runs it"),
    pytest.mark.timeout(3600),  # the first call installs gigabytes
]


def start(src, out, runner, arguments):
    return subprocess.Popen(
        [
            *(python_of("beam"), "-m", "wlasl_tfrecord.cli.shard"),
            *("--src", src, "--out", out, "--num-frames", "6", "--size", "64"),
            *("--workers", "1", "--runner", runner, f"--runner-args={arguments}"),
        ],
        cwd=CHECKOUT,
        # The workers import the library too.
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_a_shard(out):
    wait_for(lambda: list((out / ".shard-work").glob("wlasl-*-of-*.json")), 120)


def beam_workers(pid):
    """Returns the processes in which DirectRunner runs what it is told."""
    found = subprocess.run(
        ["pgrep", "-s", str(os.getsid(pid)), "-f", "sdk_worker_main"],
        capture_output=True,
        text=True,
    )
    return [int(number) for number in found.stdout.split()]


DIRECT = "--direct_running_mode multi_processing --direct_num_workers 2"


def test_direct_runner_resumes_after_a_worker_was_killed(tmp_path, src, undisturbed):
    out = tmp_path / "s"
    first = start(src, out, "DirectRunner", DIRECT)
    wait_for_a_shard(out)
    os.kill(beam_workers(first.pid)[-1], signal.SIGKILL)
    # Beam does not notice it, and waits for ever; once it does not, this ends by
    # itself, and docs/distribution.md should say so.
    with pytest.raises(subprocess.TimeoutExpired):
        first.communicate(timeout=20)
    first.send_signal(signal.SIGINT)
    output = first.communicate(timeout=120)[0]
    assert "stopped; the same command resumes" in output
    second = start(src, out, "DirectRunner", DIRECT)
    output = second.communicate(timeout=240)[0]
    assert second.returncode == 0, output
    assert "of 24 shards written, the others were there" in output
    assert folder_bytes(out) == undisturbed


def test_direct_runner_reads_and_writes_an_object_store(tmp_path, src, undisturbed):
    out, videos = f"s3://{BUCKET}/beam/out", f"s3://{BUCKET}/beam/videos"
    with running_store():
        upload_folder(src, videos)
        job = start(videos, out, "DirectRunner", DIRECT)
        output = job.communicate(timeout=240)[0]
        assert job.returncode == 0, output
        store = ObjectStore(out)
        for name in store.walk():
            (tmp_path / name).write_bytes(store.read(name).data)
    assert folder_bytes(tmp_path) == undisturbed


@pytest.fixture
def dask():
    """The address of a Dask scheduler, and its two workers."""
    program = [str(Path(python_of("beam")).with_name("dask"))]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    address = "tcp://127.0.0.1:8797"
    options = {"env": environment, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [*program, "scheduler", "--port", "8797", "--no-dashboard"], **options
    )
    worker = [*program, "worker", address, "--nthreads", "1", "--no-nanny"]
    workers = [subprocess.Popen([*worker, "--no-dashboard"], **options) for _ in "ab"]
    yield address, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def test_a_dask_worker_that_is_killed_has_its_shards_written_by_the_other(
    tmp_path, src, undisturbed, dask
):
    out, (address, workers) = tmp_path / "s", dask
    arguments = f"--dask_client_address {address} --dask_partition_size 1"
    job = start(src, out, "DaskRunner", arguments)
    wait_for_a_shard(out)
    workers[0].kill()
    output = job.communicate(timeout=300)[0]
    assert job.returncode == 0, output
    assert folder_bytes(out) == undisturbed


def test_a_job_that_fails_is_one_line(tmp_path, src):
    job = start(src, tmp_path / "s", "DaskRunner", "--dask_client_address tcp://x:1")
    output = job.communicate(timeout=240)[0]
    assert job.returncode == 1
    last = output.splitlines()[-1]
    assert last.startswith("wlasl-shard: DaskRunner did not finish (")
    assert last.endswith(
        "0 of 24 shards are written; run the same command again: it resumes"
    )
