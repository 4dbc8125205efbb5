"""MS-ASL: its JSONs, and videos of YouTube."""

import json

import pytest
from annotations import touch

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError


def entry(name="AAAAAAAAAA1", start=0, end=83, label=1, **changes):
    return {
        "org_text": "match [light-a-MATCH]",
        "clean_text": "match",
        "start_time": start / 30,
        "end_time": end / 30,
        "signer_id": 4,
        "signer": 0,
        "start": start,
        "end": end,
        "file": "match light-a-MATCH",
        "label": label,
        "fps": 29.97,
        "url": f"https://www.youtube.com/watch?v={name}",
        "text": ("hello", "match", "nice")[label],
        **changes,
    }


def ms_asl(folder, classes=("hello", "match", "nice"), **splits):
    folder.mkdir(exist_ok=True)
    for split, rows in splits.items():
        (folder / f"MSASL_{split}.json").write_text(json.dumps(rows))
    if classes:
        (folder / "MSASL_classes.json").write_text(json.dumps(classes))


@pytest.mark.parametrize("place", [".", "MS-ASL", ".."])
def test_videos_are_found_by_their_youtube_ids_and_cut(tmp_path, place):
    src = touch(tmp_path / "v", "AAAAAAAAAA1.mp4", "val/BBBBBBBBBB2.mkv")
    ms_asl(
        src / place,
        train=[entry(), entry(start=90, end=120, label=0)],
        val=[entry("BBBBBBBBBB2", label=2, url="youtu.be/BBBBBBBBBB2", signer_id=-1)],
        test=[entry("CCCCCCCCCC3")],
    )
    manifest = read_manifest(src)
    assert manifest.glosses == ("hello", "match", "nice")
    first, second, other, gone = manifest.instances
    assert first.path == second.path == str(src / "AAAAAAAAAA1.mp4")
    assert (first.start, first.stop, first.annotation_fps) == (0, 83, 29.97)
    assert (second.start, second.stop, second.label) == (90, 120, 0)
    assert (first.video_id, first.signer_id) == ("AAAAAAAAAA1#0-83", 4)
    assert (other.path, other.split) == (str(src / "val" / "BBBBBBBBBB2.mkv"), "val")
    assert (other.gloss, other.signer_id) == ("nice", -1)
    assert (gone.path, gone.split) == (None, "test")


def test_without_the_classes_the_texts_are_taken(tmp_path):
    touch(tmp_path, "AAAAAAAAAA1.mp4")
    ms_asl(tmp_path, None, train=[entry(label=2), entry(label=0)])
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("hello", "nice")
    # The same part of a video twice, with two words.
    assert [i.video_id for i in manifest.instances] == [
        "AAAAAAAAAA1#0-83",
        "AAAAAAAAAA1#0-83#2",
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"start": -1}, "no video has the range of frames -1 to 83"),
        ({"start": 83}, "no video has the range of frames 83 to 83"),
        ({"fps": 0}, "fps must be from 1 to 1000, got 0"),
        ({"fps": "30"}, "fps must be from 1 to 1000, got '30'"),
    ],
)
def test_an_impossible_range_is_the_problem_of_that_instance(
    tmp_path, changes, problem
):
    touch(tmp_path, "AAAAAAAAAA1.mp4")
    ms_asl(tmp_path, train=[entry(**changes), entry(start=1)])
    bad, good = read_manifest(tmp_path).instances
    assert bad.problem == problem
    assert good.problem is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "must be a list, got {}"),
        ([3], "entry 0 must have url, start, end and label, got 3"),
        ([{"label": 3}], "entry 0 must have url, start, end and label"),
        ([entry(start=1.5)], "start must be a whole number, got 1.5"),
        ([entry(signer_id=True)], "signer_id must be a whole number, got True"),
        ([{**entry(), "label": None}], "label must be 0 or more, got None"),
        ([{**entry(), "label": 7, "text": 3}], "text: a gloss must be text, got 3"),
        ([{**entry(), "url": ""}], "url names no video: ''"),
        (
            [{**entry(), "url": "x" * 2000}],
            "video_id must have at most 1,000 characters",
        ),
        ([{**entry(), "label": 7}], "'match' has two labels; put MSASL_classes.json"),
    ],
)
def test_a_damaged_json_names_the_entry(tmp_path, rows, message):
    touch(tmp_path, "AAAAAAAAAA1.mp4")
    ms_asl(tmp_path, train=rows)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path)


def test_damaged_classes_say_so(tmp_path):
    touch(tmp_path, "AAAAAAAAAA1.mp4")
    ms_asl(tmp_path, {"a": 1}, train=[entry()])
    with pytest.raises(ManifestError, match=r"MSASL_classes\.json must be a list, got"):
        read_manifest(tmp_path)
