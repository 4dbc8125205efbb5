"""The command itself, started and stopped as its user would."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from checkout import CHECKOUT
from running_server import ask

from wlasl_tfrecord.cli import serve
from wlasl_tfrecord.serving.address import listen


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, write_run):
    return write_run(tmp_path_factory.mktemp("runs") / "first")


def test_without_a_run_it_tells_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert serve.main([]) == 1
    assert (
        "no trained model under runs/; run bin/train first" in capsys.readouterr().err
    )


def test_open_to_other_machines_it_wants_a_token(run_dir, capsys):
    arguments = ["--run", str(run_dir), "--host", "0.0.0.0"]
    assert serve.main(arguments) == 2
    assert "opens this server to every machine that reaches" in capsys.readouterr().err


def test_a_taken_port_is_one_line(run_dir, capsys):
    with listen("127.0.0.1", 0) as sock:
        port = str(sock.getsockname()[1])
        assert serve.main(["--run", str(run_dir), "--port", port]) == 1
    error = capsys.readouterr().err
    assert "Address already in use; choose another --port, or 0" in error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "stop", "code"),
    [
        ((), signal.SIGINT, 130),
        (("--token", "new"), signal.SIGTERM, 128 + signal.SIGTERM),
    ],
)
def test_it_serves_until_it_is_stopped_and_leaves_nothing(
    run_dir, numbered_video, tmp_path, more, stop, code
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [sys.executable, "bin/serve", "--run", str(run_dir), "--port", "0", *more]
    process = subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(
            r"serving (\S+), 5 glosses, at http://127\.0\.0\.1:(\d+)/(?:#token=(\S+))?"
            r"  \(Ctrl-C stops it\)\n",
            line,
        )
        assert found, (line, process.poll())
        assert found[1] == str(run_dir / "model.keras")
        port, token = int(found[2]), found[3]
        video = numbered_video(tmp_path / "sign.mp4", num_frames=9).read_bytes()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        assert bool(token) == bool(more)
        answer = ask(port, "/predict", video, headers)
        assert answer.status == 200
        assert len(json.loads(answer.body)["predictions"]) == 5
        process.send_signal(stop)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert "Traceback" not in errors
    assert [path.name for path in temporary.iterdir() if "wlasl" in path.name] == []
