"""A table of videos, for any data set."""

from pathlib import Path

import pytest
from annotations import touch

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.video.sampling import sign_range


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


def test_the_broken_clips_can_be_named_by_a_csv(wlasl_data, tmp_path):
    src = wlasl_data / "wlasl-clips" / "broken"
    names = sorted(path.name for path in Path(src).glob("*.mp4"))
    table = tmp_path / "broken.csv"
    rows = "".join(f"{name},book,train\n" for name in names)
    table.write_text("path,gloss,split\n" + rows)
    manifest = read_manifest(src, annotations=table)
    assert [i.path for i in manifest.instances] == [str(src / name) for name in names]
