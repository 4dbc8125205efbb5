"""WLASL's own JSON: what it says, and what is wrong with it."""

import json

import pytest
from annotations import touch, wlasl_json, wlasl_row

from wlasl_tfrecord.annotations.manifest import Instance
from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.annotations.wlasl_json import load_json
from wlasl_tfrecord.errors import ManifestError


def test_wlasl_json_gives_glosses_splits_signers_and_ranges(tmp_path):
    src = touch(tmp_path / "videos", "00001.mp4", "00002.MKV")
    wlasl_json(
        tmp_path / "WLASL_v0.3.json",
        {
            "book": [
                wlasl_row("00001"),
                wlasl_row("00002", "val", frame_start=11, frame_end=30, signer_id=7),
            ],
            "drink": [wlasl_row("00003", "test", frame_start=5)],
        },
    )
    manifest = read_manifest(src)
    assert manifest.glosses == ("book", "drink")
    assert manifest.instances == (
        Instance(
            video_id="00001",
            gloss="book",
            label=0,
            split="train",
            path=str(src / "00001.mp4"),
            signer_id=3,
            annotation_fps=25.0,
        ),
        Instance(
            video_id="00002",
            gloss="book",
            label=0,
            split="val",
            path=str(src / "00002.MKV"),
            signer_id=7,
            start=10,
            stop=30,
            annotation_fps=25.0,
        ),
        Instance(
            video_id="00003",
            gloss="drink",
            label=1,
            split="test",
            path=None,
            signer_id=3,
            start=4,
            stop=None,
            annotation_fps=25.0,
        ),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_start": 0}, "range of frames 0 to -1"),
        ({"frame_start": -4}, "range of frames -4 to -1"),
        ({"frame_start": 9, "frame_end": 8}, "range of frames 9 to 8"),
        ({"frame_end": 0}, "range of frames 1 to 0"),
        ({"frame_end": 10**9}, "range of frames 1 to 1000000000"),
        ({"frame_end": 10**400}, "range of frames 1 to"),
        ({"fps": 0}, "fps must be from 1 to 1000, got 0"),
        ({"fps": -25.0}, "fps must be from 1 to 1000, got -25.0"),
        ({"fps": float("nan")}, "fps must be from 1 to 1000, got nan"),
        ({"fps": 10**400}, "fps must be from 1 to 1000, got 1000"),
    ],
)
def test_an_impossible_range_is_the_problem_of_that_instance(
    tmp_path, changes, message
):
    touch(tmp_path, "1.mp4", "2.mp4")
    rows = [wlasl_row("1", **changes), wlasl_row("2"), wlasl_row("3", **changes)]
    wlasl_json(tmp_path / "a.json", {"book": rows})
    bad, good, missing = read_manifest(tmp_path).instances
    assert bad.problem is not None
    assert message in bad.problem
    assert "\n" not in bad.problem
    assert len(bad.problem) < 250
    assert good.problem is None
    # A video that is not there is missing, and has not failed.
    assert missing.problem is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a list of glosses, got \\[\\]"),
        ({}, "is not in WLASL's format"),
        (["book"], "gloss 0 must have the keys 'gloss' and 'instances', got 'book'"),
        ([{"instances": []}], "gloss 0 must have the keys"),
        ([{"gloss": "book"}], "'instances' must be a list, got None"),
        ([{"gloss": 3, "instances": []}], "gloss 0: a gloss must be text, got 3"),
        ([{"gloss": " ", "instances": []}], "a gloss must be one line of text"),
        ([{"gloss": "x" * 1001, "instances": []}], "at most 1,000 characters, got 1,0"),
        ([{"gloss": "a\nb", "instances": []}], "a gloss must be one line of text"),
        ([{"gloss": "\ud800", "instances": []}], "a gloss must be one line of text"),
        ([{"gloss": "a", "instances": []}] * 2, "gloss 1: 'a' occurs before, as gloss"),
        ([{"gloss": "a", "instances": [7]}], "an instance of 'a' must be an object"),
        ([{"gloss": "a", "instances": [{}]}], "video_id must be text, .*got None"),
    ],
)
def test_a_json_of_another_make_is_one_line(tmp_path, content, message):
    (tmp_path / "WLASL_v0.3.json").write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"video_id": 335}, "'book': video_id must be text, as leading zeros .* 335"),
        ({"video_id": ""}, "video_id must be text"),
        ({"video_id": "\udcff"}, "video_id must be text"),
        ({"video_id": "1\r2"}, r"video_id must be one line of text, got '1\\r2'"),
        ({"video_id": "1" * 1001}, "video_id must have at most 1,000 characters, got"),
        ({"split": "dev"}, "'1': split must be one of train, val, test, got 'dev'"),
        ({"split": ["train"]}, "split must be one of train, val, test, got"),
        ({"split": None}, "split must be one of"),
        ({"signer_id": "anna"}, "'1': signer_id must be a whole number, got 'anna'"),
        ({"signer_id": 2**70}, "signer_id is not a 64-bit number"),
        ({"frame_start": 1.5}, "'1': frame_start must be a whole number, got 1.5"),
        ({"frame_end": True}, "frame_end must be a whole number, got True"),
        ({"frame_end": None}, "frame_end must be a whole number, got None"),
        ({"fps": "25"}, "'1': fps must be a number, got '25'"),
        ({"fps": None}, "fps must be a number"),
    ],
)
def test_a_wrong_type_names_the_instance(tmp_path, changes, message):
    row = {**wlasl_row("1"), **changes}
    wlasl_json(tmp_path / "WLASL_v0.3.json", {"book": [row]})
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path)


def test_an_id_that_occurs_twice_names_both(tmp_path):
    touch(tmp_path, "1.mp4")
    wlasl_json(
        tmp_path / "WLASL_v0.3.json",
        {"book": [wlasl_row("1")], "drink": [wlasl_row("1", "test")]},
    )
    with pytest.raises(
        ManifestError, match="'1' occurs twice, as 'book' in train and as 'drink' in"
    ):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[{",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'[{"gloss": "a", "instances": [{"frame_end": ' + b"9" * 5000 + b"}]}]",
    ],
)
def test_what_is_no_json_says_so(tmp_path, content):
    (tmp_path / "WLASL_v0.3.json").write_bytes(content)
    with pytest.raises(
        ManifestError, match=r"WLASL_v0\.3\.json is not JSON: ."
    ) as info:
        read_manifest(tmp_path)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ('{"1": {"subset": "train"}, "2": {}, "1": {"subset": "val"}}', "'1'"),
        ('[{"gloss": "a", "gloss": "b", "instances": []}]', "'gloss'"),
        ('[{"a\\nb": 1, "a\\nb": 2}]', r"'a\nb'"),
    ],
)
def test_a_key_that_occurs_twice_is_named(tmp_path, content, key):
    path = tmp_path / "nslt_1.json"
    path.write_text(content)
    with pytest.raises(ManifestError) as info:
        load_json(path)
    assert str(info.value) == (
        f"{path}: {key} occurs twice in one object; remove one of them"
    )


def test_videos_that_no_annotation_names_are_noted(tmp_path):
    src = touch(tmp_path / "videos", "00001.mp4", "a1.mp4", "b2.mkv", "notes.txt")
    path = tmp_path / "WLASL_v0.3.json"
    wlasl_json(path, {"book": [wlasl_row("00001")]})
    (note,) = read_manifest(src).notes
    assert note == f"videos in {src} that {path} does not name: 2, such as a1.mp4"
