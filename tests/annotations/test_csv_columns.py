"""Which columns of a table are understood."""

import pytest
from annotations import touch

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError


def test_a_column_that_means_nothing_is_noted(tmp_path):
    touch(tmp_path, "a.mp4")
    (tmp_path / "t.csv").write_text("path,gloss,split,mood\na.mp4,book,train,9\n")
    manifest = read_manifest(tmp_path)
    assert manifest.notes == (f"columns of {tmp_path}/t.csv that are not used: mood",)


def test_a_word_goes_before_its_number(tmp_path):
    touch(tmp_path, "1.mp4")
    text = "video_id,path,label,gloss,split\nx,1.mp4,17,hello,train\n"
    (tmp_path / "labels.csv").write_text(text)
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("hello",)
    assert manifest.notes[0].endswith("not used: video_id")
    assert manifest.notes[1] == (
        "the column of class numbers is not used: it does not have the numbers 0 "
        "to 0, one for each gloss"
    )


def test_tables_that_were_put_together_are_one(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    table = tmp_path / "table.csv"
    table.write_text("file,label\na.mp4,a\n\ufefffile, label\nb.mp4,b\n", "utf-8")
    manifest = read_manifest(tmp_path)
    assert manifest.glosses == ("a", "b")
    assert [instance.video_id for instance in manifest.instances] == ["a.mp4", "b.mp4"]
    table.write_text("file,label\na.mp4,a\nlabel,file\nb,b.mp4\n", "utf-8")
    with pytest.raises(ManifestError, match="line 3 names columns again"):
        read_manifest(tmp_path)
    table.write_text("file,label\na.mp4,a\nfile,gloss\nb.mp4,b\n", "utf-8")
    with pytest.raises(ManifestError, match=r"line 3 names columns again, and not"):
        read_manifest(tmp_path)
