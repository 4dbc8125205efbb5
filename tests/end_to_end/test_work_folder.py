"""The working folder: what an interrupted run leaves, and what a later one takes."""

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from checkout import CHECKOUT
from sharding import folder_bytes

from wlasl_tfrecord.cli.shard import main
from wlasl_tfrecord.shard_format import shard_folder
from wlasl_tfrecord.shard_format.layout import shard_name
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.output_folder import open_work_folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory, numbered_video):
    """60 videos: enough that a run which writes 20 of them can be killed meanwhile."""
    directory = tmp_path_factory.mktemp("videos")
    return [
        numbered_video(directory / f"{n:02d}.mp4", num_frames=30, first_number=50 * n)
        for n in range(60)
    ]


@pytest.fixture
def src(tmp_path, videos):
    """A class folder with 40 of them; all of their records have the same size."""
    (tmp_path / "src" / "book").mkdir(parents=True)
    for path in videos[:40]:
        shutil.copy(path, tmp_path / "src" / "book")
    return tmp_path / "src"


def arguments(src, out, *more):
    small = ("--num-frames", "6", "--size", "64", "--workers", "1")
    return ["--src", str(src), "--out", str(out), *small, *more]


def kill_when_a_shard_is_settled(src, out, *more):
    """Starts a run, and kills it when it has noted its first finished shard."""
    work = out / ".shard-work"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "wlasl_tfrecord.cli.shard"),
            *arguments(src, out, *more),
        ],
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None and not list(work.glob("wlasl-*.json")):
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert list(work.glob("wlasl-*.json"))


def leave_stale_work(src, out, videos):
    """Finishes a folder, and interrupts a run over videos that then go again."""
    assert main(arguments(src, out)) == 0
    for path in videos:
        shutil.copy(path, src / "book")
    kill_when_a_shard_is_settled(src, out)
    for path in videos:
        (src / "book" / path.name).unlink()


def check_like_new(src, out, tmp_path, capsys):
    """Runs to the end, and compares with a folder that knew no interruption."""
    assert main(arguments(src, out)) == 0
    assert main(arguments(src, tmp_path / "undisturbed")) == 0
    assert folder_bytes(out) == folder_bytes(tmp_path / "undisturbed")
    capsys.readouterr()
    assert main(arguments(src, out)) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_videos_that_come_and_go_leave_nothing_behind(tmp_path, src, videos, capsys):
    out = tmp_path / "s"
    leave_stale_work(src, out, videos[40:])
    # Otherwise there is nothing to do, and the working folder just goes.
    shutil.copy(videos[50], src / "book")
    check_like_new(src, out, tmp_path, capsys)


def test_videos_that_are_replaced_and_restored_leave_nothing_behind(
    tmp_path, src, videos, capsys
):
    # Every record is as long as before: only its checksum tells them apart.
    out = tmp_path / "s"
    assert main(arguments(src, out)) == 0
    for one, other in itertools.pairwise(videos[:41]):
        shutil.copy(other, src / "book" / one.name)
    kill_when_a_shard_is_settled(src, out)
    for path in videos[:40]:
        shutil.copy(path, src / "book")
    shutil.copy(videos[50], src / "book")
    check_like_new(src, out, tmp_path, capsys)


def test_stale_work_is_left_alone_where_only_the_report_changes(
    tmp_path, src, videos, capsys
):
    out = tmp_path / "s"
    leave_stale_work(src, out, videos[40:])
    # It becomes no clip: no shard is to be written, and yet the report changes.
    os.mkfifo(src / "book" / "99.mp4")
    check_like_new(src, out, tmp_path, capsys)


class TestOtherOptions:
    def test_the_work_of_an_interrupted_run_is_not_dropped(self, tmp_path, src, capsys):
        out = tmp_path / "s"
        kill_when_a_shard_is_settled(src, out)
        before = folder_bytes(out)
        for more in (("--dry-run",), ()):
            assert main(arguments(src, out, "--codec", "png", *more)) == 1
            assert capsys.readouterr().err.endswith(
                f"{out} holds the work of an unfinished run with other options: codec "
                "was 'raw' and is 'png'; use the same, choose another --out, or, if it "
                "no longer runs, drop that work with --overwrite\n"
            )
            assert folder_bytes(out) == before
        assert main(arguments(src, out, "--codec", "png", "--overwrite")) == 0
        assert shard_folder.load_folder(out).codec == "png"
        assert not (out / ".shard-work").exists()

    def test_a_finished_folder_stays_what_it_is(self, tmp_path, src, capsys):
        out = tmp_path / "s"
        assert main(arguments(src, out)) == 0
        kill_when_a_shard_is_settled(src, out, "--overwrite", "--seed", "1")
        assert main(arguments(src, out)) == 1
        assert (
            "seed was 1 and is 0; use the same with --overwrite, or delete "
            f"{out}/.shard-work"
        ) in capsys.readouterr().err
        shutil.rmtree(out / ".shard-work")
        assert main(arguments(src, out)) == 0
        assert "nothing to do" in capsys.readouterr().out

    def test_a_run_that_has_finished_no_shard_holds_nobody_up(self, tmp_path, src):
        out = tmp_path / "s"
        out.mkdir()
        open_work_folder(str(out), ShardOptions(codec="jpeg"), ())
        assert main(arguments(src, out)) == 0

    @pytest.mark.parametrize("content", [None, "", "[]", "{"])
    def test_work_that_does_not_say_with_which_options_is_known_by_its_digests(
        self, tmp_path, src, content
    ):
        out = tmp_path / "s"
        kill_when_a_shard_is_settled(src, out)
        (out / ".shard-work" / "options.json").unlink()
        if content is not None:
            (out / ".shard-work" / "options.json").write_text(content)
        assert main(arguments(src, out, "--codec", "png")) == 0
        assert shard_folder.load_folder(out).codec == "png"


class TestLinks:
    """In a folder that was received, nothing leads out of it."""

    @pytest.fixture
    def mine(self, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "letter").write_text("precious")
        return tmp_path / "mine"

    @pytest.mark.parametrize("finished", [False, True])
    def test_a_working_folder_that_is_a_link_is_refused(
        self, tmp_path, src, mine, capsys, finished
    ):
        out = tmp_path / "s"
        if finished:
            assert main(arguments(src, out)) == 0
        out.mkdir(exist_ok=True)
        (out / ".shard-work").symlink_to(mine)
        for more in ((), ("--dry-run",), ("--overwrite",)):
            assert main(arguments(src, out, *more)) == 1
            assert (
                f"{out}/.shard-work is a link or a file, but runs write and remove"
            ) in capsys.readouterr().err
        assert [path.name for path in mine.iterdir()] == ["letter"]
        with pytest.raises(OSError, match="a link or a file has the name of a folder"):
            open_work_folder(str(out), ShardOptions(), ())

    def test_nothing_in_the_working_folder_is_followed(self, tmp_path, src, mine):
        out = tmp_path / "s"
        letter = mine / "letter"
        work = out / ".shard-work"
        work.mkdir(parents=True)
        owner = f".{socket.gethostname()}.{os.getpid()}.part."
        (work / "options.json").symlink_to(letter)
        (work / f"{owner}options.json").symlink_to(letter)
        for k in range(16):
            name = shard_name("train", k, 16)
            (work / name).symlink_to(letter)
            (work / f"{owner}{name}").symlink_to(letter)
            (work / f"{name}.json").symlink_to(letter)
        (work / "folder").mkdir()
        (work / "folder" / "link").symlink_to(mine)
        (work / "link").symlink_to(mine)
        assert main(arguments(src, out)) == 0
        assert letter.read_text() == "precious"
        assert [path.name for path in mine.iterdir()] == ["letter"]
        assert not work.exists()
        assert not any(path.is_symlink() for path in out.iterdir())

    def test_shards_that_are_links_are_written_again(self, tmp_path, src, mine):
        out = tmp_path / "s"
        assert main(arguments(src, out)) == 0
        before = folder_bytes(out)
        for path in sorted(out.iterdir()):
            copy = mine / path.name
            shutil.copy(path, copy)
            path.unlink()
            path.symlink_to(copy)
        for name in ("index.json", "report.json", "dataset_info.json"):
            (out / name).unlink()
            shutil.copy(mine / name, out / name)
        kept = folder_bytes(mine)
        assert main(arguments(src, out, "--overwrite")) == 0
        assert folder_bytes(out) == before
        assert folder_bytes(mine) == kept
        assert not any(path.is_symlink() for path in out.iterdir())
