"""bin/shard as its users type it: its options, its lines, its exit codes."""

import json
import os
import shlex
import shutil
import subprocess

import pytest
from sharding import CHECKOUT, command, folder_bytes, run

from wlasl_tfrecord.shard_format import shard_folder
from wlasl_tfrecord.shard_format.clips import ClipSpec


class TestCommand:
    def test_a_dry_run_says_what_would_be_done_and_does_nothing(
        self, tmp_path, src, shard
    ):
        done = shard(src, tmp_path / "s", "--dry-run")
        assert done.returncode == 0
        assert "32 of 32 shards to write, 40 clips" not in done.stdout
        assert "shards to write, 40 clips, about 2.9 MiB; " in done.stdout
        assert not (tmp_path / "s").exists()

    def test_what_does_not_fit_is_refused_before_anything_is_written(
        self, tmp_path, src, shard, monkeypatch
    ):
        # A disk that is full but for a gibibyte; the clips would take three.
        monkeypatch.setattr("wlasl_tfrecord.files.free_bytes", lambda _: 2**30)
        done = shard(src, tmp_path / "s", "--num-frames", "64", "--size", "650")
        assert done.returncode == 1
        assert (
            "GiB are free; free some space, choose another --out, or --codec jpeg"
            in done.stderr
        )
        assert not list((tmp_path / "s").glob("*"))

    def test_a_run_with_nothing_to_do_says_it_once(self, tmp_path, src, shard):
        first, second = shard(src, tmp_path / "s"), shard(src, tmp_path / "s")
        assert "shards to write, 40 clips" in first.stdout
        assert "to write" not in second.stdout
        assert "everything is there, in " in second.stdout

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
    def test_names_that_the_locale_cannot_write_are_shards_like_any_other(
        self, tmp_path, src, encoding
    ):
        videos = tmp_path / os.fsdecode(b"\xff") / "videos"
        shutil.copytree(src / "train" / "book", videos / "書く")
        # As where LANG names another encoding: Python takes UTF-8 for C by itself.
        plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
        environment = {**os.environ, **(plain if encoding == "ascii" else {})}
        environment["PYTHONIOENCODING"] = f"{encoding}:strict"
        done = run(videos, tmp_path / "s", env=environment)
        assert done.returncode == 0, done.stderr
        assert "written" in done.stdout
        assert shard_folder.load_folder(tmp_path / "s").glosses == ("書く",)
        report = json.loads((tmp_path / "s" / "report.json").read_text("utf-8"))
        assert {i["outcome"] for i in report["instances"]} == {"written"}

    def test_strict_is_an_error_where_a_video_failed(self, tmp_path, src, shard):
        shutil.copytree(src, tmp_path / "src")
        (tmp_path / "src" / "train" / "book" / "x.mp4").write_bytes(b"<html>")
        assert shard(tmp_path / "src", tmp_path / "s").returncode == 0
        done = shard(tmp_path / "src", tmp_path / "s", "--strict")
        assert done.returncode == 1
        assert "failed: 1 unreadable" in done.stdout
        assert "everything is there" in done.stdout

    def test_a_size_may_be_a_rectangle(self, tmp_path, src, shard):
        done = shard(src, tmp_path / "s", "--size", "32x48")
        assert done.returncode == 0
        assert shard_folder.load_folder(tmp_path / "s").clip == ClipSpec(
            num_frames=6, height=32, width=48
        )

    def test_a_size_that_is_none_is_an_error_of_the_arguments(
        self, tmp_path, src, shard
    ):
        done = shard(src, tmp_path / "s", "--size", "big")
        assert done.returncode == 2
        assert "--size must be 224 or 224x320, got 'big'" in done.stderr

    def test_a_quality_that_would_mean_nothing_is_refused(self, tmp_path, src, shard):
        done = shard(src, tmp_path / "s", "--codec", "png", "--jpeg-quality", "50")
        assert done.returncode == 2
        assert "--jpeg-quality is for --codec jpeg, not png" in done.stderr

    def test_no_videos_is_one_line(self, tmp_path, shard):
        (tmp_path / "src").mkdir()
        done = shard(tmp_path / "src", tmp_path / "s")
        assert done.returncode == 1
        assert "no videos" in done.stderr
        assert len(done.stderr.splitlines()) == 1

    # What is closed would be the next file that is opened: a shard, or a decoder's.
    @pytest.mark.parametrize("redirected", ["<&- >&- 2>&-", ">/dev/full"])
    def test_the_work_is_done_where_nobody_can_read_of_it(
        self, tmp_path, src, undisturbed, redirected
    ):
        words = shlex.join(map(str, command(src, tmp_path / "s")))
        done = subprocess.run(
            f"{words} {redirected}", cwd=CHECKOUT, shell=True, capture_output=True
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert folder_bytes(tmp_path / "s") == undisturbed

    def test_what_a_shell_sets_for_opencv_changes_nothing(
        self, tmp_path, src, undisturbed
    ):
        settings = {
            "OPENCV_LOG_LEVEL": "DEBUG",
            "OPENCV_FFMPEG_CAPTURE_OPTIONS": "skip_frame;nokey",
        }
        done = subprocess.run(
            command(src, tmp_path / "s"),
            cwd=CHECKOUT,
            env={**os.environ, **settings},
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr
        assert folder_bytes(tmp_path / "s") == undisturbed

    def test_a_current_folder_that_is_gone_is_one_line(self, tmp_path, src):
        gone = tmp_path / "gone"
        gone.mkdir()
        done = subprocess.run(
            ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *command(src, "s")],
            cwd=gone,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (
            1,
            "wlasl-shard: the current folder no longer exists; cd to one that does\n",
        )
