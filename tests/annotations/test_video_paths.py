"""Where videos lie that annotations name by a path or by a name alone."""

import os

import pytest
from annotations import touch

from wlasl_tfrecord.annotations.video_paths import (
    PathFinder,
    video_problem,
    videos_below,
    why_none_is_found,
)


def test_videos_below_a_folder_are_listed_in_order(tmp_path):
    touch(tmp_path, "b.mp4", "a.AVI", "x/2.webm", "x/1.mp4", "x/y/z/3.mov", "x/no.txt")
    touch(tmp_path, ".hidden/1.mp4", "@eaDir/1.mp4", "x/.1.mp4", "x/2.gif")
    touch(tmp_path, "frames/01.jpg", "x/frames/01.jpg", "x/1.jpg")
    touch(tmp_path, "1/2/3/4/5/6/7.mp4", "1/2/3/4/5/6/7/8.mp4")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "c.mp4").symlink_to("b.mp4")
    assert videos_below(str(tmp_path)) == [
        "a.AVI",
        "b.mp4",
        "c.mp4",
        "1/2/3/4/5/6/7.mp4",
        "frames",
        "x/1.mp4",
        "x/2.webm",
        "x/frames",
        "x/y/z/3.mov",
    ]


def test_a_plain_file_has_no_problem_and_a_link_may_have_one(tmp_path):
    touch(tmp_path, "src/1.mp4", "outside.mp4")
    src = tmp_path / "src"
    (src / "in.mp4").symlink_to("1.mp4")
    (src / "out.mp4").symlink_to("../outside.mp4")
    os.mkfifo(src / "pipe.mp4")
    problems = [
        video_problem(str(src / f"{name}.mp4"), str(src))
        for name in ("1", "in", "out", "pipe")
    ]
    assert problems == [
        None,
        None,
        "it leads outside the folder of videos",
        "it is neither a file nor a folder",
    ]


@pytest.mark.parametrize(
    "name",
    ["out/secret.mp4", "OUT/secret", "out\\secret.mp4", "../secret.mp4", "/s.mp4"],
)
def test_what_lies_outside_never_shows(tmp_path, name):
    touch(tmp_path, "elsewhere/secret.mp4", "src/1.mp4", "secret.mp4")
    (tmp_path / "src" / "out").symlink_to("../elsewhere")
    finder = PathFinder(str(tmp_path / "src"))
    there = finder.find(name)
    (tmp_path / "elsewhere" / "secret.mp4").unlink()
    assert there[0] is None
    assert finder.find(name) == there == PathFinder(str(tmp_path / "src")).find(name)


def test_a_name_that_no_system_takes_is_a_problem(tmp_path):
    path, problem = PathFinder(str(tmp_path)).find("x" * 5000)
    assert path is None
    assert problem is None or "File name too long" in problem


def test_the_reason_names_what_is_there(tmp_path):
    assert why_none_is_found(["1.mp4"], str(tmp_path)) == (
        f"there is no video in {tmp_path}; check --src"
    )
    touch(tmp_path, "day1/1.mp4")
    assert why_none_is_found(["9.mp4", "v/day1/1.mp4"], str(tmp_path)) == (
        "'v/day1/1.mp4' lies there as day1/1.mp4; the paths start with the folder 'v', "
        "which is not in --src: remove it from the paths, or name the folder that has "
        "it with --src"
    )
