"""Which file annotates a folder, and what is said where none does."""

import os
import re
import tempfile
from pathlib import Path

import pytest
from annotations import nslt_json, touch, wlasl_json, wlasl_row

from wlasl_tfrecord.annotations.class_list import read_class_list
from wlasl_tfrecord.annotations.discovery import names_of_videos
from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.annotations.table import read_header
from wlasl_tfrecord.annotations.wlasl_json import load_json
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.layout import FAILURE_COLUMNS
from wlasl_tfrecord.shard_format.record_table import RECORD_COLUMNS
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.sharder import write_shards
from wlasl_tfrecord.training.history import COLUMNS
from wlasl_tfrecord.video.files import list_folder


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


@pytest.mark.parametrize("place", ["project", "disk"])
def test_annotations_are_found_beside_a_link_to_the_folder(tmp_path, place):
    touch(tmp_path, "disk/videos/1.mp4", "project/readme")
    (tmp_path / "project" / "videos").symlink_to("../disk/videos")
    path = wlasl_json(tmp_path / place / "mine.json", {"book": [wlasl_row("1")]})
    manifest = read_manifest(tmp_path / "project" / "videos")
    assert manifest.annotations == str(path)


@pytest.mark.parametrize("place", ["project", "disk"])
def test_lists_of_words_are_found_beside_a_link_to_the_folder(tmp_path, place):
    touch(tmp_path, "disk/videos/drink/1.mp4", "disk/more/2.mp4", "project/readme")
    for name in ("videos", "more"):
        (tmp_path / "project" / name).symlink_to(f"../disk/{name}")
    (tmp_path / place / "classes.txt").write_text("eat\ndrink\n")
    manifest = read_manifest(tmp_path / "project" / "videos")
    assert manifest.glosses == ("eat", "drink")
    (tmp_path / place / "wlasl_class_list.txt").write_text("0\teat\n1\tdrink\n")
    (tmp_path / "elsewhere").mkdir()
    path = nslt_json(tmp_path / "elsewhere" / "nslt_2.json", {"2": ("train", 1)})
    manifest = read_manifest(tmp_path / "project" / "more", annotations=path)
    assert manifest.glosses == ("eat", "drink")


def test_a_folder_beside_that_may_not_be_listed_is_passed_over():
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "shared"
        touch(place, "videos/book/1.mp4")
        os.chmod(name, 0o755)
        os.chmod(place, 0o711)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # nobody: root may list everything
        else:
            os.chmod(place, 0o311)
        try:
            with pytest.raises(PermissionError):
                os.listdir(place)
            assert read_manifest(place / "videos").glosses == ("book",)
        finally:
            os.seteuid(user)
            os.chmod(place, 0o755)


def test_several_annotation_files_are_not_chosen_from(tmp_path):
    touch(tmp_path, "1.mp4")
    (tmp_path / "wlasl_class_list.txt").write_text("0\tbook\n")
    nslt_json(tmp_path / "nslt_100.json", {"1": ("train", 0)})
    nslt_json(tmp_path / "nslt_300.json", {"1": ("train", 0)})
    with pytest.raises(
        ManifestError,
        match=r"files: nslt_100\.json, nslt_300\.json; name one with --annotations, or "
        "say --annotations none if folders name the glosses",
    ):
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
        ("gs://b/v", None, "gs://… is not a local folder; copy the videos to one"),
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
    touch(tmp_path, "part1/day1/book/1.mp4", "part1/day1/book/2.mp4")
    with pytest.raises(
        ManifestError,
        match=r"but 2 others, such as part1/day1/book/1\.mp4; check --src",
    ):
        read_manifest(tmp_path)
    touch(tmp_path, "1.mp4", "2.mp4")
    with pytest.raises(ManifestError, match="no annotations for the 2 videos in"):
        read_manifest(tmp_path)
    wlasl_json(tmp_path / "a.json", {"book": [wlasl_row("7")]})
    with pytest.raises(
        ManifestError, match=r"no videos in .*it has 2, such as 1\.mp4.* such as '7'"
    ):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "read",
    [
        load_json,
        read_header,
        read_class_list,
        list_folder,
        lambda path: names_of_videos(path, ["1.mp4"]),
    ],
)
def test_a_file_that_cannot_be_read_says_so(tmp_path, read):
    # A file where a folder is wanted, a folder where a file is: even root cannot.
    path = tmp_path / "file" if read is list_folder else tmp_path
    (tmp_path / "file").touch()
    with pytest.raises(ManifestError, match=r"cannot read .*: (Is|Not) a directory"):
        read(str(path))


@pytest.mark.parametrize("place", [".", "..", "annotations", "../annotations"])
@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        (
            "labels.csv",
            "clip number;meaning\n1;hello\n",
            "labels.csv is not understood: line 1, which names the columns, lacks one "
            "for the video (path, video, file, filename …) and one for the gloss "
            "(gloss, label, word, class …): 'clip number;meaning'",
        ),
        (
            "labels.tsv",
            "video\tmeaning\n",
            "lacks one for the gloss (gloss, label, word",
        ),
        ("x.CSV", "1.mp4,hello\n", "lacks one for the video (path, video, file, "),
        ("empty.csv", "", "lacks one for the video (path, video, file, filename …)"),
        ("labels.xlsx", "PK", "labels.xlsx is a spreadsheet; save it as CSV (UTF-8)"),
        ("labels.ods", "PK", "labels.ods is a spreadsheet; save it as CSV (UTF-8)"),
    ],
)
def test_a_table_that_is_not_understood_is_refused_by_name(
    tmp_path, place, name, text, reason
):
    src = touch(tmp_path / "videos", "day1/1.mp4", "hello/2.mp4")
    (src / place).mkdir(exist_ok=True)
    path = Path(os.path.normpath(src / place / name))
    path.write_text(text)
    with pytest.raises(ManifestError) as info:
        read_manifest(src)
    assert reason in str(info.value)
    assert str(info.value).startswith(str(path))
    assert str(info.value).endswith(
        ". Rename its columns, move it away, or say --annotations none if folders name "
        "the glosses"
    )
    # The way out that it names.
    assert read_manifest(src, annotations="none").glosses == ("day1", "hello")


def test_a_table_that_is_not_needed_is_named_all_the_same(tmp_path):
    src = touch(tmp_path / "videos", "1.mp4")
    wlasl_json(tmp_path / "WLASL_v0.3.json", {"book": [wlasl_row("1")]})
    (src / "notes.csv").write_text("who,what\n")
    manifest = read_manifest(src)
    assert manifest.glosses == ("book",)
    (note,) = manifest.notes
    assert note.startswith("label files that are not used: 1; ")
    assert "notes.csv is not understood" in note


def test_office_files_that_are_open_are_no_labels(tmp_path):
    touch(tmp_path, "hello/1.mp4", "bye/1.mp4", "~$labels.xlsx", ".~lock.labels.csv#")
    assert read_manifest(tmp_path).glosses == ("bye", "hello")


def test_our_own_tables_are_no_labels(tmp_path):
    touch(tmp_path, "hello/1.mp4", "bye/1.mp4")
    for name, columns in [
        ("failures.csv", FAILURE_COLUMNS),
        ("wlasl-train.index.csv", [column for column, _, _ in RECORD_COLUMNS]),
        ("history.csv", COLUMNS),
    ]:
        (tmp_path / name).write_text(",".join(columns) + "\n")
    assert read_manifest(tmp_path).glosses == ("bye", "hello")


def test_a_table_may_be_a_text_file(tmp_path):
    touch(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "README.txt").write_text("Thanks to everybody, and have fun.\n")
    (tmp_path / "labels.txt").write_text("path\tgloss\tsplit\n1.mp4\thello\ttrain\n")
    assert read_manifest(tmp_path).glosses == ("hello",)
    assert read_manifest(tmp_path, annotations=tmp_path / "labels.txt").glosses == (
        "hello",
    )
    assert read_manifest(tmp_path, annotations=tmp_path).glosses == ("hello",)
    (tmp_path / "labels.txt").write_text("path\tgloss\n1.mp4\thello\n")
    assert read_manifest(tmp_path, annotations=tmp_path).glosses == ("hello",)


def test_a_folder_of_annotations_names_what_it_does_not_understand(tmp_path):
    touch(tmp_path, "1.mp4")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.csv").write_text("a,b\n")
    with pytest.raises(
        ManifestError,
        match=r"no annotation file in .*/a; name the file itself; .*x\.csv",
    ):
        read_manifest(tmp_path, annotations=tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.json", '{"hello/1.mp4": "bye"}'),
        ("labels.jsonl", '{"file_name": "hello\\\\1.mp4", "text": "bye"}'),
        ("train_list.txt", "bye/2.mp4 0\nhello/1.mp4 1\n"),
        ("ids.txt", "take_07 bye\n"),
        ("labels.xml", "<video name='1.mp4'>bye</video>"),
        ("labels.yaml", "- [1.mp4, bye]"),
    ],
)
@pytest.mark.parametrize("place", [".", "..", "labels"])
def test_a_text_that_names_the_videos_is_not_passed_over(tmp_path, name, text, place):
    src = touch(tmp_path / "v", "hello/1.mp4", "bye/2.mp4", "bye/take_07.mp4")
    (src / place).mkdir(exist_ok=True)
    (src / place / name).write_text(text)
    with pytest.raises(
        ManifestError,
        match=rf"{name} names videos of .*, such as .*, and is of no known",
    ):
        read_manifest(src)
    assert read_manifest(src, annotations="none").glosses == ("bye", "hello")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.txt", "hello/1.mp4 was damaged\n"),
        ("SHA256SUMS.txt", "ab12 hello/1.mp4\n"),
        ("report.json", '{"hello/1.mp4": "written"}'),
        ("package.json", '{"version": "1"}'),
        ("notes.txt", "1 and 2 of hello are by anna\n"),
    ],
)
def test_texts_without_labels_do_no_harm(tmp_path, name, text):
    touch(tmp_path, "hello/1.mp4", "bye/2.mp4")
    (tmp_path / name).write_text(text)
    assert read_manifest(tmp_path).glosses == ("bye", "hello")
