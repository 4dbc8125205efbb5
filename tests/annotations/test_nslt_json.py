"""The nslt files: classes and splits, with words and ranges from beside them."""

import json

import pytest
from annotations import by_id, nslt_json, touch, wlasl_json, wlasl_row

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError


def test_nslt_takes_ranges_and_signers_from_wlasl_json_and_words_from_the_list(
    tmp_path,
):
    src = touch(tmp_path / "videos", "1.mp4", "2.mp4", "9.mp4")
    wlasl_json(
        tmp_path / "WLASL_v0.3.json",
        {
            "book": [wlasl_row("1", frame_start=5, frame_end=20)],
            "lose": [wlasl_row("2", "val")],
            "never": [wlasl_row("3")],
        },
    )
    nslt = nslt_json(
        tmp_path / "nslt_2.json", {"1": ("train", 0), "2": ("val", 1), "9": ("val", 1)}
    )
    (tmp_path / "wlasl_class_list.txt").write_text("0\tbook\n1\tlosear\n2\tnever\n")
    manifest = read_manifest(src, annotations=nslt)
    assert manifest.glosses == ("book", "lose")
    first, second, unknown = manifest.instances
    assert (first.start, first.stop, first.signer_id) == (4, 20, 3)
    assert (second.start, second.stop, second.gloss) == (None, None, "lose")
    assert (unknown.start, unknown.stop, unknown.signer_id) == (None, None, -1)
    assert len(manifest.notes) == 2
    assert manifest.notes[0].startswith(f"1 ids of {nslt} are unknown to ")
    assert "class 1 is 'losear' in wlasl_class_list.txt" in manifest.notes[1]


def test_nslt_alone_takes_whole_videos_and_the_words_of_the_list(tmp_path):
    touch(tmp_path, "1.mp4")
    nslt_json(tmp_path / "nslt_100.json", {"1": ("train", 1)})
    (tmp_path / "wlasl_class_list.txt").write_text("0\tbook\n1\tdrink\n2\tcar\n")
    manifest = read_manifest(tmp_path)
    (instance,) = manifest.instances
    assert manifest.glosses == ("book", "drink")
    assert (instance.gloss, instance.start, instance.stop) == ("drink", None, None)
    assert "videos are taken whole" in manifest.notes[0]


def test_nslt_without_words_says_what_it_needs(tmp_path):
    touch(tmp_path, "1.mp4")
    nslt_json(tmp_path / "nslt_100.json", {"1": ("train", 1)})
    with pytest.raises(ManifestError, match=r"put wlasl_class_list.txt or WLASL_v0.3"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "is not in the nslt format: expected an object of videos, got {}"),
        ([1], "is not in the nslt format"),
        ({"1": 3}, "'1' must have the keys 'subset' and 'action', got 3"),
        ({"1": {"action": [0]}}, "'1': subset must be one of train, val, test"),
        ({"1": {"subset": "val"}}, r"action must be \[class, start, end\], got None"),
        ({"1": {"subset": "val", "action": []}}, r"action must be \[class, start"),
        ({"1": {"subset": "val", "action": ["0"]}}, "action must be .* got"),
        ({"1": {"subset": "val", "action": [True]}}, "action must be .* got"),
        ({"1": {"subset": "val", "action": [1]}}, "class 1 is none of the 1 known"),
        ({"1": {"subset": "val", "action": [-1]}}, "class -1 is none of the 1 known"),
        ({"": {"subset": "val", "action": [0]}}, "video_id must be text"),
    ],
)
def test_an_nslt_file_of_another_make_is_one_line(tmp_path, content, message):
    (tmp_path / "nslt_100.json").write_text(json.dumps(content))
    (tmp_path / "wlasl_class_list.txt").write_text("0\tbook\n")
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path)


def test_the_nslt_route_gives_the_same_manifest(wlasl_data):
    src = wlasl_data / "wlasl100-mini" / "videos"
    annotations = wlasl_data / "annotations"
    by_json = read_manifest(
        src, annotations=annotations / "WLASL_v0.3.json", subset=100
    )
    for name in ("nslt_100.json", "nslt_2000.json"):
        by_nslt = read_manifest(src, annotations=annotations / name, subset=100)
        assert by_nslt.glosses == by_json.glosses
        unknown = {v for v, i in by_id(by_nslt).items() if v not in by_id(by_json)}
        assert unknown == set()
        assert by_id(by_nslt) == by_id(by_json)


def test_the_faults_of_nslt_2000_are_noted(wlasl_data):
    manifest = read_manifest(
        wlasl_data / "wlasl-clips" / "videos",
        annotations=wlasl_data / "annotations" / "nslt_2000.json",
    )
    assert len(manifest.instances) == 21_095
    assert manifest.notes[0].startswith("12 ids of ")
    assert "class 163 is 'losear'" in manifest.notes[1]
    assert manifest.glosses[163] == "lose"
