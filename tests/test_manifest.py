import csv
import json
import os
import random
import re
from collections import Counter
from pathlib import Path

import pytest

from wlasl_tfrecord.class_list import read_class_list
from wlasl_tfrecord.clips import ClipSpec, sign_range
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.instances import Instance, unique_ids
from wlasl_tfrecord.manifest import read_manifest
from wlasl_tfrecord.shards import ShardOptions, write_shards
from wlasl_tfrecord.video_csv import csv_columns
from wlasl_tfrecord.video_files import list_folder
from wlasl_tfrecord.wlasl_json import load_json


def wlasl_row(video_id, split="train", **changes):
    return {
        "video_id": video_id,
        "split": split,
        "signer_id": 3,
        "frame_start": 1,
        "frame_end": -1,
        "fps": 25,
        **changes,
    }


def wlasl_json(path, glosses):
    """Writes {gloss: rows} in WLASL's format."""
    content = [{"gloss": gloss, "instances": rows} for gloss, rows in glosses.items()]
    path.write_text(json.dumps(content))
    return path


def touch(folder, *names):
    """Makes files; nobody opens them here, so they hold nothing."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def by_id(manifest):
    return {instance.video_id: instance for instance in manifest.instances}


# WLASL's JSON


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


def test_a_subset_keeps_the_first_glosses(tmp_path):
    touch(tmp_path, "1.mp4", "2.mp4")
    wlasl_json(
        tmp_path / "WLASL_v0.3.json",
        {"book": [wlasl_row("1")], "drink": [wlasl_row("2")]},
    )
    manifest = read_manifest(tmp_path, subset=1)
    assert manifest.glosses == ("book",)
    assert list(by_id(manifest)) == ["1"]
    with pytest.raises(ManifestError, match="has 2 glosses, not 3; ask for a smaller"):
        read_manifest(tmp_path, subset=3)
    with pytest.raises(ValueError, match="subset must be at least 1, got 0"):
        read_manifest(tmp_path, subset=0)
    with pytest.raises(ValueError, match=r"split_by must be one of .*, got 'name'"):
        read_manifest(tmp_path, split_by="name")  # pyright: ignore[reportArgumentType]


def test_the_videos_may_lie_in_a_folder_of_that_name(tmp_path):
    touch(tmp_path, "videos/1.mp4")
    wlasl_json(tmp_path / "WLASL_v0.3.json", {"book": [wlasl_row("1")]})
    (instance,) = read_manifest(tmp_path).instances
    assert instance.path == str(tmp_path / "videos" / "1.mp4")


def test_extensions_count_in_any_case_and_mp4_goes_first(tmp_path):
    touch(tmp_path, "1.AVI", "2.mov", "3.WebM", "4.mkv", "4.Mp4", "5.gif")
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row(str(k)) for k in range(1, 6)]})
    manifest = read_manifest(tmp_path, annotations=tmp_path / "a.json")
    names = [os.path.basename(i.path or "missing") for i in manifest.instances]
    assert names == ["1.AVI", "2.mov", "3.WebM", "4.Mp4", "missing"]


def test_a_folder_of_numbered_images_is_a_video(tmp_path):
    touch(tmp_path, "1/img_0001.jpg", "2/0.PNG", "3/notes.txt", "4/cover.png")
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row(str(k)) for k in range(1, 5)]})
    found = by_id(read_manifest(tmp_path))
    assert found["1"].path == str(tmp_path / "1")
    assert found["1"].problem is found["2"].problem is None
    assert found["3"].problem == "it is a folder without numbered images"
    assert found["4"].problem == "it is a folder without numbered images"


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
    wlasl_json(
        tmp_path / "a.json", {"book": [wlasl_row("1", **changes), wlasl_row("2")]}
    )
    bad, good = read_manifest(tmp_path).instances
    assert bad.problem is not None
    assert message in bad.problem
    assert "\n" not in bad.problem
    assert len(bad.problem) < 250
    assert good.problem is None


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
        ({"signer_id": 2**70}, "signer_id is no 64-bit number"),
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
    with pytest.raises(ManifestError, match=r"WLASL_v0\.3\.json is no JSON: .") as info:
        read_manifest(tmp_path)
    assert "\n" not in str(info.value)


# nslt


def nslt_json(path, rows):
    path.write_text(
        json.dumps(
            {
                video_id: {"subset": split, "action": [label, 1, 9]}
                for video_id, (split, label) in rows.items()
            }
        )
    )
    return path


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0\tbook\n2\tcar\n", "line 2 must start with index 1, got '2'"),
        (b"0\tbook\n1\tbook\n", "'book' occurs twice"),
        (b"0\t\n", "line 1: a gloss must be one line of text"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
def test_a_damaged_class_list_is_one_line(tmp_path, content, message):
    nslt_json(tmp_path / "nslt_100.json", {"1": ("train", 0)})
    (tmp_path / "wlasl_class_list.txt").write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path)


# Which file annotates a folder


def test_wlasl_json_goes_before_the_nslt_files_beside_it(tmp_path):
    touch(tmp_path, "videos/1.mp4")
    wlasl_json(tmp_path / "WLASL_v0.3.json", {"book": [wlasl_row("1")]})
    nslt_json(tmp_path / "nslt_100.json", {"1": ("test", 0)})
    nslt_json(tmp_path / "nslt_300.json", {"1": ("test", 0)})
    (instance,) = read_manifest(tmp_path / "videos").instances
    assert instance.split == "train"


@pytest.mark.parametrize("place", ["videos", ".", "annotations", "videos/annotations"])
def test_annotations_are_found_in_and_beside_the_folder(tmp_path, place):
    touch(tmp_path, "videos/1.mp4")
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    wlasl_json(folder / "mine.json", {"book": [wlasl_row("1")]})
    (folder / "report.json").write_text('{"outcomes": []}')
    (folder / "truth.csv").write_text("video_id,gloss\n1,book\n")
    assert read_manifest(tmp_path / "videos").annotations == str(folder / "mine.json")


def test_several_annotation_files_are_not_chosen_from(tmp_path):
    touch(tmp_path, "1.mp4")
    (tmp_path / "wlasl_class_list.txt").write_text("0\tbook\n")
    nslt_json(tmp_path / "nslt_100.json", {"1": ("train", 0)})
    nslt_json(tmp_path / "nslt_300.json", {"1": ("train", 0)})
    with pytest.raises(ManifestError, match=r"files: nslt_100\.json, nslt_300\.json"):
        read_manifest(tmp_path)
    # A subset says which of them is meant.
    nslt_json(tmp_path / "nslt_1.json", {"1": ("val", 0)})
    assert read_manifest(tmp_path, subset=1).instances[0].split == "val"


@pytest.mark.parametrize("place", [".", ".."])
@pytest.mark.parametrize("kind", ["wlasl", "csv", "class folders"])
def test_our_own_files_are_no_annotations(tmp_path, numbered_video, kind, place):
    # Who writes the shards where the videos are meets their report the next time.
    src = tmp_path / "v"
    folders = kind == "class folders"
    for n in range(3):
        numbered_video(src / ("action" if folders else ".") / f"{n}.mp4", num_frames=4)
    if kind == "wlasl":
        # In it the words that tell nslt's format: a subset, and a gloss 'action'.
        rows = [wlasl_row(str(n)) for n in range(5)]
        wlasl_json(src / "mine.json", {"action": rows})
    elif kind == "csv":
        rows = "".join(f"{n}.mp4,action,train\n" for n in range(5))
        (src / "mine.csv").write_text(f"path,gloss,split\n{rows}")
    before = read_manifest(src)
    options = ShardOptions(clip=ClipSpec(num_frames=2, height=8, width=8))
    out = os.path.normpath(src / place)
    for num_written in (3, 0):
        report = write_shards(read_manifest(src), out, options=options, workers=1)
        assert report.num_written == 3
        assert bool(report.num_shards_written) == bool(num_written)
        assert read_manifest(src) == before
    assert (Path(out) / "failures.csv").exists()


def test_a_folder_named_as_annotations_is_looked_through(tmp_path):
    touch(tmp_path, "videos/1.mp4", "else/x.txt")
    wlasl_json(tmp_path / "else" / "a.json", {"book": [wlasl_row("1")]})
    manifest = read_manifest(tmp_path / "videos", annotations=tmp_path / "else")
    assert manifest.annotations == str(tmp_path / "else" / "a.json")
    with pytest.raises(
        ManifestError, match=r"no annotation file in .*videos; name the"
    ):
        read_manifest(tmp_path / "videos", annotations=tmp_path / "videos")
    with pytest.raises(ManifestError, match=r"no annotation file at .*nowhere\.json"):
        read_manifest(tmp_path, annotations=tmp_path / "nowhere.json")


def test_an_unknown_format_says_which_are_known(tmp_path):
    touch(tmp_path, "1.mp4")
    for name, content in [("a.json", '{"a": 1}'), ("a.xml", "<a>")]:
        (tmp_path / name).write_text(content)
        with pytest.raises(ManifestError, match=f"{name} is of no known format; known"):
            read_manifest(tmp_path, annotations=tmp_path / name)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, os.symlink])
def test_a_wlasl_json_that_is_no_file_is_none(tmp_path, make):
    # Opening a pipe would wait for a writer without end.
    touch(tmp_path, "1.mp4")
    nslt_json(tmp_path / "nslt_1.json", {"1": ("train", 0)})
    (tmp_path / "wlasl_class_list.txt").write_text("0\tbook\n")
    path = tmp_path / "WLASL_v0.3.json"
    make(*([path, path] if make is os.symlink else [path]))
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("book",)
    assert "no WLASL_v0.3.json beside" in manifest.notes[0]


@pytest.mark.parametrize(
    ("src", "annotations", "message"),
    [
        ("", None, "no folder of videos at ''; name one with --src"),
        ("gs://b/v", None, "gs://b/v is no local folder; copy the videos to one"),
        (".", "", "no annotation file at ''; check --annotations"),
        (".", "s3://b/a.json", "no annotation file at 's3://b/a.json'; check"),
    ],
)
def test_a_place_that_is_none_is_named(
    tmp_path, monkeypatch, src, annotations, message
):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "book/1.mp4")
    with pytest.raises(ManifestError, match=re.escape(message)):
        read_manifest(src, annotations=annotations)


def test_no_folder_and_no_videos_say_so(tmp_path):
    with pytest.raises(ManifestError, match=r"no folder of videos at '.*nowhere"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(ManifestError, match=r"no videos \(\.mp4 \.avi .*\) in "):
        read_manifest(tmp_path)
    touch(tmp_path, "1.mp4", "2.mp4")
    with pytest.raises(ManifestError, match="no annotations for the 2 videos in"):
        read_manifest(tmp_path)
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row("7")]})
    with pytest.raises(
        ManifestError, match=r"no videos in .*it has 2, such as 1\.mp4.* such as '7'"
    ):
        read_manifest(tmp_path)


@pytest.mark.parametrize("read", [load_json, csv_columns, read_class_list, list_folder])
def test_a_file_that_cannot_be_read_says_so(tmp_path, read):
    # A file where a folder is wanted, a folder where a file is: even root cannot.
    path = tmp_path / "file" if read is list_folder else tmp_path
    (tmp_path / "file").touch()
    with pytest.raises(ManifestError, match=r"cannot read .*: (Is|Not) a directory"):
        read(str(path))


# Class folders


def test_class_folders_with_splits_label_by_name(tmp_path):
    touch(
        tmp_path,
        "train/drink/a.mp4",
        "train/book/c.AVI",
        "valid/book/d.mp4",
        "test/drink/e.mp4",
        "test/drink/frames/001.png",
        "test/drink/notes.txt",
    )
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("book", "drink")
    assert [(i.video_id, i.split, i.label) for i in manifest.instances] == [
        ("train/book/c.AVI", "train", 0),
        ("train/drink/a.mp4", "train", 1),
        ("valid/book/d.mp4", "val", 0),
        ("test/drink/e.mp4", "test", 1),
        ("test/drink/frames", "test", 1),
    ]
    assert all(
        i.problem is None and i.annotation_fps is None for i in manifest.instances
    )
    assert manifest.notes == ()


def test_without_val_a_fifth_of_train_becomes_it(tmp_path):
    names = [f"train/{gloss}/{k}.mp4" for gloss in "ab" for k in range(20)]
    touch(tmp_path, *names, "test/a/x.mp4")
    manifest = read_manifest(tmp_path)
    counts = Counter((i.gloss, i.split) for i in manifest.instances)
    assert counts == {
        ("a", "train"): 16,
        ("a", "val"): 4,
        ("b", "train"): 16,
        ("b", "val"): 4,
        ("a", "test"): 1,
    }
    assert "a fifth of train" in manifest.notes[0]


def test_a_test_folder_alone_stays_what_it_is(tmp_path):
    touch(tmp_path, "test/a/1.mp4", "test/a/2.mp4")
    manifest = read_manifest(tmp_path)
    assert {i.split for i in manifest.instances} == {"test"}
    assert manifest.notes == ()


def test_signs_named_like_splits_are_signs(tmp_path):
    touch(tmp_path, *[f"{sign}/{k}.mp4" for sign in ("test", "dev") for k in range(3)])
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("dev", "test")
    assert Counter(i.split for i in manifest.instances) == {
        "train": 2,
        "val": 2,
        "test": 2,
    }


def test_without_splits_all_three_are_made(tmp_path):
    touch(tmp_path, *[f"{gloss}/{k}.mp4" for gloss in "ab" for k in range(50)])
    manifest = read_manifest(tmp_path)
    counts = Counter((i.gloss, i.split) for i in manifest.instances)
    for gloss in "ab":
        assert counts[gloss, "train"] == 34
        assert counts[gloss, "val"] == 9
        assert counts[gloss, "test"] == 7
    assert "no split is given" in manifest.notes[0]


def test_made_splits_are_pinned(tmp_path):
    # Two releases must deal the same videos to the same splits, or a model of one is
    # tested by the other on what it was trained with.
    touch(tmp_path, *[f"book/{k}.mp4" for k in range(8)])
    splits = {i.video_id: i.split for i in read_manifest(tmp_path).instances}
    assert splits == {
        "book/0.mp4": "train",
        "book/1.mp4": "train",
        "book/2.mp4": "test",
        "book/3.mp4": "train",
        "book/4.mp4": "train",
        "book/5.mp4": "train",
        "book/6.mp4": "val",
        "book/7.mp4": "train",
    }


def test_classes_txt_fixes_the_labels(tmp_path):
    touch(tmp_path, "drink/a.mp4", "book/b.mp4")
    (tmp_path / "classes.txt").write_text("drink\ncar\nbook\n")
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("drink", "car", "book")
    assert {i.gloss: i.label for i in manifest.instances} == {"drink": 0, "book": 2}
    (tmp_path / "classes.txt").write_text("drink\n")
    with pytest.raises(ManifestError, match=r"folder 'book' in .* is no class of"):
        read_manifest(tmp_path)


def test_class_folders_beside_a_json_that_names_other_videos_are_used(tmp_path):
    touch(tmp_path / "sorted", "book/1.mp4", "book/2.mp4")
    wlasl_json(tmp_path / "WLASL_v0.3.json", {"book": [wlasl_row("7")]})
    manifest = read_manifest(tmp_path / "sorted")
    assert len(manifest.instances) == 2
    assert "names no video of" in manifest.notes[-1]


def test_results_do_not_depend_on_the_order_of_a_listing(tmp_path, monkeypatch):
    touch(tmp_path / "a", *[f"{gloss}/{k}.mp4" for gloss in "ab" for k in range(9)])
    touch(tmp_path / "b", "1.mp4", "1.MP4", "1.avi", "2.mp4")
    wlasl_json(tmp_path / "b" / "a.json", {"book": [wlasl_row("1"), wlasl_row("2")]})
    before = read_manifest(tmp_path / "a"), read_manifest(tmp_path / "b")
    scandir = os.scandir

    class Shuffled(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    def shuffled(path):
        entries = Shuffled(scandir(path))
        random.Random(str(path)).shuffle(entries)
        return entries

    monkeypatch.setattr(os, "scandir", shuffled)
    assert (read_manifest(tmp_path / "a"), read_manifest(tmp_path / "b")) == before


def test_names_that_are_odd_or_no_unicode_keep_their_videos(tmp_path):
    names = [
        'it\'s a "b".mp4',
        "new\nline.mp4",
        "déjà vu.mp4",
        os.fsdecode(b"\xe9.mp4"),
    ]
    try:
        touch(tmp_path, *[f"book/{name}" for name in names])
    except OSError:
        pytest.skip("this file system only takes names in Unicode")
    found = by_id(read_manifest(tmp_path))
    assert set(found) == {
        'book/it\'s a "b".mp4',
        "book/new\\nline.mp4",
        "book/déjà vu.mp4",
        "book/\\xe9.mp4",
    }
    for instance in found.values():
        assert instance.path is not None
        assert os.path.exists(instance.path)
        instance.video_id.encode()


# CSV


def test_a_csv_works_for_any_data_set(tmp_path):
    touch(tmp_path, "deep/a.mp4", "b.MOV", "c/1.jpg")
    (tmp_path / "table.csv").write_text(
        "\ufeffsplit, path ,gloss,start,stop,signer_id\n"
        "train,deep/a.mp4,drink,,,4\n"
        "val,b.MOV,book,10,40,\n"
        "validation,b.MOV,drink,40,,\n"
        "\n"
        'test,c,"thank, you",0,5,-7\n'
        "test,gone.mp4,book,,,1\n",
        encoding="utf-8",
    )
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("drink", "book", "thank, you")
    a, b, b2, c, gone = manifest.instances
    assert (a.video_id, a.path) == ("deep/a.mp4", str(tmp_path / "deep" / "a.mp4"))
    assert (a.signer_id, a.start, a.stop, a.annotation_fps) == (4, None, None, None)
    assert (b.video_id, b.start, b.stop) == ("b.MOV#10-40", 10, 40)
    assert (b2.video_id, b2.start, b2.stop) == ("b.MOV#40-", 40, None)
    assert (b2.split, b2.signer_id) == ("val", -1)
    assert (c.gloss, c.path, c.signer_id) == ("thank, you", str(tmp_path / "c"), -1)
    assert (gone.path, gone.problem) == (None, None)
    # The range is of frames of that file, whatever its rate is.
    assert sign_range(90, 50.0, b.start, b.stop, b.annotation_fps)[:2] == (10, 40)


def test_a_column_that_means_nothing_is_noted(tmp_path):
    touch(tmp_path, "a.mp4")
    (tmp_path / "t.csv").write_text("path,gloss,split,signer\na.mp4,book,train,9\n")
    manifest = read_manifest(tmp_path)
    assert manifest.instances[0].signer_id == -1
    assert "mean nothing here: signer" in manifest.notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,gloss\na,b\n", "line 1 must name the columns path, gloss and split"),
        ("path;gloss;split\n", "separated by commas, got 'path;gloss;split'"),
        ("path,gloss,split,path\n", "line 1 names a column twice"),
        ("path,gloss,split\n", "has no rows; add one for each video"),
        ("path,gloss,split\na.mp4,b\n", "line 2 has 2 values, line 1 names 3"),
        ("path,gloss,split\n,b,train\n", "line 2: no path"),
        ("path,gloss,split\na\0b,b,train\n", "line 2: no path|no table of values"),
        ("path,gloss,split\na.mp4,,train\n", "line 2: a gloss must be one line of"),
        ("path,gloss,split\na.mp4,b,x\n", "line 2: split must be train, val or test"),
        ('path,gloss,split\n"a"b,b,x\n', "is no table of values"),
        (
            "path,gloss,split\na,b,train\na,b,test\n",
            "'a' occurs twice, as 'b' in train",
        ),
        (
            "path,gloss,split,start\na,b,test,x\n",
            "line 2: start must be a whole number",
        ),
        ("path,gloss,split,stop\na,b,test,1.5\n", "stop must be a whole number, got"),
        ("path,gloss,split,stop\na,b,test,³\n", "stop must be a whole number, got"),
        ("path,gloss,split,signer_id\na,b,val,anna\n", "signer_id must be a whole num"),
        (f"path,gloss,split,stop\na,b,val,{'9' * 30}\n", "stop must be a whole number"),
    ],
)
def test_a_damaged_csv_names_the_line(tmp_path, text, message):
    touch(tmp_path, "a.mp4")
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path, annotations=tmp_path / "t.csv")


def test_a_csv_in_another_encoding_says_so(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"path,gloss,split\na.mp4,caf\xe9,train\n")
    touch(tmp_path, "a.mp4")
    with pytest.raises(ManifestError, match=r"t\.csv is not text in UTF-8"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("start", "stop"), [("-1", ""), ("5", "5"), ("7", "2"), ("", "0")]
)
def test_an_impossible_range_in_a_csv_is_that_instances_problem(tmp_path, start, stop):
    touch(tmp_path, "a.mp4")
    (tmp_path / "t.csv").write_text(
        f"path,gloss,split,start,stop\na.mp4,b,train,{start},{stop}\na.mp4,b,train,,\n"
    )
    bad, good = read_manifest(tmp_path).instances
    assert "no video has the range of frames" in (bad.problem or "")
    assert good.problem is None


# Untrusted names


def test_an_id_never_leads_out_of_the_folder(tmp_path):
    touch(tmp_path, "secret.mp4", "src/1.mp4")
    ids = ["../secret", "../../etc/passwd", str(tmp_path / "secret"), ".."]
    wlasl_json(
        tmp_path / "src" / "a.json",
        {"book": [wlasl_row("1"), *map(wlasl_row, ids)]},
    )
    good, *bad = read_manifest(tmp_path / "src").instances
    assert good.path is not None
    assert [instance.path for instance in bad] == [None] * 4
    for instance in bad[:3]:
        assert instance.problem == "its id cannot be the name of a file"


def test_a_path_in_a_csv_never_leads_out_of_the_folder(tmp_path):
    touch(tmp_path, "secret.mp4", "src/1.mp4", "src/in/2.mp4")
    (tmp_path / "src" / "out").symlink_to(tmp_path)
    inside = tmp_path / "src" / "in" / "2.mp4"
    rows = ["1.mp4", str(inside), "in/../1.mp4#", "../secret.mp4", "/etc/passwd"]
    rows += [str(tmp_path / "secret.mp4"), "out/secret.mp4", "../src2/1.mp4"]
    text = "path,gloss,split\n" + "".join(f"{row},b,train\n" for row in rows)
    (tmp_path / "src" / "t.csv").write_text(text)
    one, two, absent, *outside = read_manifest(tmp_path / "src").instances
    assert (one.path, one.problem) == (str(tmp_path / "src" / "1.mp4"), None)
    assert (two.path, two.problem) == (str(inside), None)
    assert (absent.path, absent.problem) == (None, None)
    for instance in outside:
        assert instance.path is None
        assert "its path leads outside" in (instance.problem or "")


def test_links_inside_the_folder_are_followed_and_others_are_not(tmp_path):
    touch(tmp_path, "secret.mp4", "pictures/1.png", "src/real/0.mp4")
    src = tmp_path / "src"
    (src / "in.mp4").symlink_to(src / "real" / "0.mp4")
    (src / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (src / "loop.mp4").symlink_to(src / "loop.mp4")
    (src / "dangling.mp4").symlink_to(src / "nothing.mp4")
    (src / "folder").symlink_to(tmp_path / "pictures")
    (src / "images").mkdir()
    (src / "images" / "1.png").symlink_to(tmp_path / "secret.mp4")
    (src / "directory.mp4").mkdir()
    os.mkfifo(src / "pipe.mp4")
    ids = ["in", "out", "loop", "dangling", "folder", "images", "directory", "pipe"]
    wlasl_json(src / "a.json", {"book": [wlasl_row(video_id) for video_id in ids]})
    problems = {i.video_id: i.problem for i in read_manifest(src).instances}
    assert problems == {
        "in": None,
        "out": "it leads outside the folder of videos",
        "loop": "cannot be read: Too many levels of symbolic links",
        "dangling": "cannot be read: No such file or directory",
        "folder": "it leads outside the folder of videos",
        "images": "an image of it leads outside the folder of videos",
        "directory": "it is a folder without numbered images",
        "pipe": "it is neither a file nor a folder",
    }


def test_a_class_folder_outside_is_refused(tmp_path):
    touch(tmp_path, "elsewhere/1.mp4", "src/drink/1.mp4")
    (tmp_path / "src" / "book").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ManifestError, match=r"folder '.* leads outside .*; move"):
        read_manifest(tmp_path / "src")


def test_a_linked_src_is_taken_as_it_is(tmp_path):
    touch(tmp_path, "real/book/1.mp4", "real/book/2.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert all(i.problem is None for i in read_manifest(tmp_path / "link").instances)


# Splits by signer


def signer_json(path, num_signers, num_clips=6):
    rows = [
        wlasl_row(f"{signer}-{k}", signer_id=signer)
        for signer in range(num_signers)
        for k in range(num_clips)
    ]
    wlasl_json(path, {"book": rows[::2], "drink": rows[1::2]})


def test_splits_by_signer_share_nobody(tmp_path):
    touch(tmp_path, "0-0.mp4")
    signer_json(tmp_path / "a.json", 40)
    manifest = read_manifest(tmp_path, split_by="signer")
    signers = {}
    for instance in manifest.instances:
        signers.setdefault(instance.split, set()).add(instance.signer_id)
    assert {split: len(ids) for split, ids in signers.items()} == {
        "train": 27,
        "val": 7,
        "test": 6,
    }
    assert not signers["train"] & signers["val"]
    assert not signers["train"] & signers["test"]
    assert not signers["val"] & signers["test"]
    assert "27 signers in train, 7 in val, 6 in test" in manifest.notes[-1]


def test_splits_by_signer_agree_for_every_subset(tmp_path):
    touch(tmp_path, "0-0.mp4")
    signer_json(tmp_path / "a.json", 12, 7)
    whole = by_id(read_manifest(tmp_path, split_by="signer"))
    for video_id, instance in by_id(
        read_manifest(tmp_path, split_by="signer", subset=1)
    ).items():
        assert instance.split == whole[video_id].split


@pytest.mark.parametrize(
    ("num_signers", "splits"),
    [(1, {"train"}), (2, {"train", "val"}), (3, {"train", "val", "test"})],
)
def test_few_signers_still_fill_the_splits(tmp_path, num_signers, splits):
    touch(tmp_path, "0-0.mp4")
    signer_json(tmp_path / "a.json", num_signers)
    manifest = read_manifest(tmp_path, split_by="signer")
    assert {instance.split for instance in manifest.instances} == splits


def test_an_unknown_signer_is_left_out_of_splits_by_signer(tmp_path):
    touch(tmp_path, "1.mp4", "2.mp4")
    rows = [wlasl_row("1"), wlasl_row("2", signer_id=-1)]
    wlasl_json(tmp_path / "a.json", {"book": rows})
    known, unknown = read_manifest(tmp_path, split_by="signer").instances
    assert known.problem is None
    assert unknown.problem == "its signer is unknown, splits are by signer"
    wlasl_json(tmp_path / "a.json", {"book": rows[1:]})
    with pytest.raises(ManifestError, match="names no signers, so splits by signer"):
        read_manifest(tmp_path, split_by="signer")


# Values


def test_an_instance_checks_itself():
    with pytest.raises(ValueError, match=r"split must be one of .*, got 'dev'"):
        Instance(video_id="1", gloss="a", label=0, split="dev")
    with pytest.raises(ValueError, match="label must be at least 0, got -1"):
        Instance(video_id="1", gloss="a", label=-1, split="val")


def test_unique_ids_shows_a_long_id_shortened():
    twins = [Instance(video_id="x" * 999, gloss="a", label=0, split="val")]
    unique_ids(twins, "a.json")
    with pytest.raises(ManifestError, match=r"'x{70,80}.* occurs twice") as info:
        unique_ids(
            [
                *twins,
                Instance(video_id="x" * 999, gloss="b", label=1, split="val"),
            ],
            "a.json",
        )
    assert len(str(info.value)) < 300


# The real annotations and clips


def test_wlasl100_of_the_real_annotations(wlasl_data):
    manifest = read_manifest(wlasl_data / "wlasl100-mini", subset=100)
    present = Counter(i.split for i in manifest.instances if i.path)
    assert present == {"train": 646, "val": 144}
    assert Counter(i.split for i in manifest.instances) == {
        "train": 1442,
        "val": 338,
        "test": 258,
    }
    assert len(manifest.glosses) == 100
    assert manifest.glosses[:3] == ("book", "drink", "computer")
    assert all(i.problem is None for i in manifest.instances)


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


def test_the_real_clips_have_the_splits_and_ranges_that_are_true(wlasl_data):
    manifest = read_manifest(wlasl_data / "wlasl-clips")
    present = {v: i for v, i in by_id(manifest).items() if i.path}
    with (wlasl_data / "wlasl-clips" / "truth.csv").open() as file:
        truth = {row["video_id"]: row for row in csv.DictReader(file)}
    assert set(present) == set(truth)
    for video_id, row in truth.items():
        instance = present[video_id]
        assert instance.gloss == row["gloss"]
        assert instance.label == int(row["class_id"])
        assert instance.split == row["official_split"]
        assert instance.signer_id == int(row["signer_id"])
    rules = {
        video_id: sign_range(
            int(truth[video_id]["decoded_frames"]),
            float(truth[video_id]["fps"]),
            present[video_id].start,
            present[video_id].stop,
            present[video_id].annotation_fps,
        )
        for video_id in ("70304", "10004", "63185")
    }
    assert rules == {
        "70304": (0, 121, "trimmed"),
        "10004": (0, 57, "trimmed"),
        "63185": (2054, 2111, "cut"),
    }


def test_the_broken_clips_can_be_named_by_a_csv(wlasl_data, tmp_path):
    src = wlasl_data / "wlasl-clips" / "broken"
    names = sorted(path.name for path in Path(src).glob("*.mp4"))
    table = tmp_path / "broken.csv"
    rows = "".join(f"{name},book,train\n" for name in names)
    table.write_text("path,gloss,split\n" + rows)
    manifest = read_manifest(src, annotations=table)
    assert [i.path for i in manifest.instances] == [str(src / name) for name in names]


def test_splits_by_signer_of_the_real_annotations_are_pinned(wlasl_data):
    # Another value is another set of splits: results would no longer compare.
    manifest = read_manifest(wlasl_data / "wlasl-clips", split_by="signer")
    assert "84 signers in train, 18 in val, 17 in test" in manifest.notes[-1]
    assert Counter(i.split for i in manifest.instances) == {
        "train": 14_413,
        "val": 3_707,
        "test": 2_963,
    }
