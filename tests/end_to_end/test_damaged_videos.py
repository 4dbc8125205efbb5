"""Videos damaged in every way: each is reported, and none ends the run."""

import csv
import json
import os
import random

import cv2
import numpy as np
import pytest
from sharding import OPTIONS, manifest_of, run

from wlasl_tfrecord.sharding.sharder import write_shards
from wlasl_tfrecord.text import text_of


def percent(n):
    """Returns where the n-th damaged video is cut off: 500 in a row have every percent.

    The two kinds of every ten that are cut are the even and the odd ones; 37 and 100
    have no common factor, so that few of them are spread too.
    """
    return (2 * (n // 10) + n % 10 - 3) * 37 % 100


def test_damaged_videos_are_cut_off_at_every_percent():
    cut = [percent(n) for n in range(500) if n % 10 in (3, 4)]
    assert sorted(cut) == list(range(100))


def damaged_videos(directory, good, count, seed=0):
    """Writes videos damaged in every way, in turn; returns their paths."""
    generator = random.Random(seed)
    data = good.read_bytes()
    picture = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    text = data.decode("utf-8", "replace").encode()
    directory.mkdir(parents=True)
    names = ["a b", "it's", 'say "hi"', "zwei\nzeilen", "手話", "%d", "-rf", "$(id)"]

    def flipped():
        damaged = bytearray(data)
        for _ in range(generator.choice([1, 10, 100, 1000])):
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        return bytes(damaged)

    def zeroed():
        start = generator.randrange(len(data))
        stop = min(len(data), start + generator.randrange(1, 20000))
        return data[:start] + bytes(stop - start) + data[stop:]

    paths = []
    for n in range(count):
        path = directory / f"{names[n // 10 % len(names)]}{n}.mp4"
        kind = n % 10
        if kind in (0, 1, 2):
            path.write_bytes(flipped())
        elif kind in (3, 4):
            path.write_bytes(data[: len(data) * percent(n) // 100])
        elif kind == 5:
            path.write_bytes(zeroed())
        elif kind == 6:
            path.write_bytes([b"", bytes(len(data)), text][n // 10 % 3])
        elif kind == 7:
            path.write_bytes([b"<html>404</html>", picture][n // 10 % 2])
        elif kind == 8:
            path.mkdir()
        elif n // 10 % 2:
            path.symlink_to(path)
        else:
            os.mkfifo(path)
        paths.append(path)
    return paths


def check_damaged(tmp_path, good, count):
    paths = damaged_videos(tmp_path / "damaged", good, count)
    report = write_shards(
        manifest_of(None, paths), tmp_path / "s", options=OPTIONS, workers=2
    )
    values = json.loads((tmp_path / "s" / "report.json").read_text())
    assert len(values["instances"]) == count
    kinds = {v["video_id"]: v["outcome"] for v in values["instances"]}
    assert set(kinds.values()) <= {"written", "unreadable", "too short"}
    for n in range(count):
        if n % 10 >= 6:
            assert kinds[f"v{n}"] in ("unreadable", "too short"), n
    with (tmp_path / "s" / "failures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == report.num_failed == count - report.num_written
    assert all(row["reason"] and "\n" not in row["path"] for row in rows)
    text = (tmp_path / "s" / "failures.csv").read_text()
    assert len(text.splitlines()) == len(rows) + 1
    # Not one crash: every one of them was an answer.
    assert report.num_written >= count // 10


def check_damaged_by_command(tmp_path, good, count):
    """The same as their user has it: a folder of such files, named as they are."""
    paths = damaged_videos(tmp_path / "src" / "a sign", good, count)
    done = run(tmp_path / "src", tmp_path / "t", "--timeout", "20")
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "t" / "report.json").read_text())
    found = {v["video_id"]: v for v in values["instances"]}
    assert len(found) == count
    for n, path in enumerate(paths):
        value = found[f"a sign/{text_of(path.name)}"]
        # What is no file is known for it before anything is opened.
        kinds = ["unusable"] if n % 10 >= 8 else ["unreadable", "too short"]
        if n % 10 < 6:
            kinds.append("written")
        assert value["outcome"] in kinds, value
        assert value["path"] == value["video_id"]
    text = (tmp_path / "t" / "failures.csv").read_text()
    num_failed = sum(value["outcome"] != "written" for value in found.values())
    assert len(text.splitlines()) == 1 + num_failed
    with (tmp_path / "t" / "failures.csv").open(newline="") as file:
        assert all(found[row["video_id"]]["reason"] for row in csv.DictReader(file))


def test_damaged_videos_are_each_reported(tmp_path, src):
    check_damaged(tmp_path, min(src.rglob("*.mp4")), 200)
    check_damaged_by_command(tmp_path, min(src.rglob("*.mp4")), 100)


@pytest.mark.slow
def test_a_thousand_damaged_videos_are_each_reported(tmp_path, src):
    check_damaged(tmp_path, min(src.rglob("*.mp4")), 1000)
    check_damaged_by_command(tmp_path, min(src.rglob("*.mp4")), 1000)
