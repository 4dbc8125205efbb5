"""Sem-Lex as it is downloaded."""

import pytest
from annotations import by_id, touch

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError

HEADER = ",video_id,signer_id,duration,split,label_type,label,Handshape\n"


def sem_lex(folder, *rows):
    lines = [f"{k},{row},5\n" for k, row in enumerate(rows)]
    (folder / "semlex_metadata.csv").write_text(HEADER + "".join(lines))


@pytest.mark.parametrize("src", [".", "videos"])
def test_sem_lex_has_its_own_labels_splits_and_signers(tmp_path, src):
    touch(tmp_path / "videos", "train/AbC1.webm", "val/dEf2.mp4", "test/gHi3.webm")
    sem_lex(
        tmp_path,
        "AbC1,12,1.5,train,freetext,oh_i_see",
        "dEf2,3,1.5,val,asllex,last year",
        "gHi3,12,1.5,test,signbank,oh_i_see ",
        "gone,3,1.5,train,asllex,9_oclock",
    )
    manifest = read_manifest(tmp_path / src)
    assert manifest.glosses == ("9_oclock", "last year", "oh_i_see")
    assert [
        (i.video_id, i.label, i.split, i.signer_id, i.path) for i in manifest.instances
    ] == [
        ("AbC1", 2, "train", 12, str(tmp_path / "videos" / "train" / "AbC1.webm")),
        ("dEf2", 1, "val", 3, str(tmp_path / "videos" / "val" / "dEf2.mp4")),
        ("gHi3", 2, "test", 12, str(tmp_path / "videos" / "test" / "gHi3.webm")),
        ("gone", 0, "train", 3, None),
    ]


def test_rows_that_are_there_twice_never_leak_into_train(tmp_path):
    touch(tmp_path, "train/a.webm", "train/b.webm")
    sem_lex(
        tmp_path,
        "a,1,1,train,x,hello",
        "a,1,1,test,x,hello",
        "a,1,1,val,x,bye",
        "b,1,1,train,x,bye",
        "b,1,1,train,x,bye",
        "c,1,1,train,x,na",
    )
    manifest = read_manifest(tmp_path)
    found = by_id(manifest)
    assert (found["a"].split, found["a"].gloss) == ("test", "hello")
    assert found.keys() == {"a", "b"}
    assert "rows of a video that occurs before, left out: 3" in manifest.notes
    assert "rows with the label 'na', left out: 1" in manifest.notes


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            "a,1,1,dev,x,hello",
            "line 2: split must be one of train, val, test, got 'dev'",
        ),
        ("a,1,1,train,x,", "line 2: a gloss must be one line of text"),
        (",1,1,train,x,hello", "line 2: video_id must be text"),
    ],
)
def test_a_damaged_table_names_the_line(tmp_path, row, message):
    touch(tmp_path, "a.webm")
    sem_lex(tmp_path, row)
    with pytest.raises(ManifestError, match=message):
        read_manifest(tmp_path)


def test_the_name_of_the_table_is_enough(tmp_path):
    touch(tmp_path, "train/a.webm")
    text = "video_id,label,split,signer_id\na,hello,train,3\n"
    (tmp_path / "semlex_metadata.csv").write_text(text)
    assert read_manifest(tmp_path).instances[0].path == str(
        tmp_path / "train" / "a.webm"
    )
