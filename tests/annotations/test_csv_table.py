"""A table of videos, for any data set."""

import os
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from annotations import touch

from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError
from wlasl_tfrecord.shard_format.layout import SPLITS
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,split\na,train\n",
            r"line 1 must name the columns, and lacks one for the gloss "
            r"\(gloss, label, word, class …\): 'path,split'",
        ),
        ("gloss\na\n", r"lacks one for the video \(path, video, file, filename …\)"),
        (
            "a.mp4,book\n",
            r"one for the video .* and one for the gloss .*'a\.mp4,b",
        ),
        ("", "line 1 must name the columns, and lacks .*: ''"),
        ("path,gloss,split,Path\n", "line 1 names the column 'path' twice; remove"),
        (
            "path,gloss,split,end\n",
            "the column 'end' may count frames or seconds, from",
        ),
        ("path,gloss,split,start,Frame End\n", "the column 'Frame End' may count"),
        ("path,gloss,split\n", "has no rows; add one for each video"),
        ("path,gloss,split\na.mp4,b\n", "line 2 has 2 values, line 1 names 3"),
        ("path,gloss,split\n,b,train\n", "line 2: no path"),
        ("path,gloss,split\na\0b,b,train\n", "line 2: no path|no table of values"),
        ("path,gloss,split\na.mp4,,train\n", "line 2: a gloss must be one line of"),
        ("path,gloss,split\na.mp4,b,x\n", "line 2: split must be train, val or test"),
        ('path,gloss,split\n"a"b,b,x\n', "is not a table of values"),
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
        (
            "path,gloss,split\na,b,c,train\n",
            "has 4 values, line 1 names 3; put a value",
        ),
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


def found(manifest):
    """Returns id -> (gloss, split, signer, path inside the folder, start, stop)."""
    return {
        i.video_id: (i.gloss, i.split, i.signer_id, i.start, i.stop)
        for i in manifest.instances
        if i.path and not i.problem
    }


@pytest.mark.parametrize(
    "text",
    [
        "path,gloss,split,start,stop,signer_id\na/1.mp4,hello,train,0,120,7\n",
        "path;gloss;split;start;stop;signer_id\na/1.mp4;hello;train;0;120,0;7\n",
        "sep=\t\nPath\tGloss\tSplit\tStart\tStop\tSigner\na/1.mp4\thello\tTRAIN\t0\t120\t7",
        "Path, Gloss, Split, Stop, Signer ID\na/1.mp4, hello, train, 120.0, 7.0",
        ",video_path,label,subset,start,stop,signer\n0,a/1.mp4,hello,Training,,120,7\n",
        "Unnamed: 0,file,word,set,stop,participant\n0,./a/1.mp4,hello,train,120,P7\n",
        "Video File,CLASS,Partition,stop,Participant,,\na\\1.mp4,hello,train,120,7,,\n",
        'filename,sign,split,stop,signer-id\n"a/1.mp4", "hello" ,train,120,7\n',
        "path,gloss,split,start,stop,signer_id,\na/1.mp4,hello,train,nan,120,7\n,,,,,,\n",
    ],
)
def test_what_programs_write_is_one_table(tmp_path, text):
    touch(tmp_path, "a/1.mp4")
    (tmp_path / "labels.csv").write_text(text)
    (values,) = found(read_manifest(tmp_path)).values()
    gloss, split, signer, start, stop = values
    assert (gloss, split, signer, start or 0, stop) == ("hello", "train", 7, 0, 120)


def test_paths_of_windows_lead_to_the_same_ids(tmp_path):
    touch(tmp_path / "v", "day1/1.mp4", "day1/2.mp4", "back\\slash.mp4")
    rows = "day1\\1.mp4,hello,train\n.\\day1\\2.mp4,bye,val\nback\\slash.mp4,bye,test\n"
    (tmp_path / "v" / "labels.csv").write_text("path,gloss,split\n" + rows)
    instances = read_manifest(tmp_path / "v").instances
    assert [os.path.relpath(i.path or "", tmp_path / "v") for i in instances] == [
        "day1/1.mp4",
        "day1/2.mp4",
        "back\\slash.mp4",
    ]
    assert instances[0].video_id == "day1/1.mp4"


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_table", ["NFC", "NFD"])
def test_names_may_be_in_another_unicode_form(tmp_path, in_table, on_disk):
    name, word = "día/café.mp4", "mañana"
    touch(tmp_path, unicodedata.normalize(on_disk, name))
    rows = f"{name},{word},train\ngone.mp4,{unicodedata.normalize('NFC', word)},val\n"
    (tmp_path / "labels.csv").write_text(
        "path,gloss,split\n" + unicodedata.normalize(in_table, rows), "utf-8"
    )
    manifest = read_manifest(tmp_path)
    assert manifest.instances[0].path == str(
        tmp_path / unicodedata.normalize(on_disk, name)
    )
    assert manifest.glosses == (word,)


@pytest.mark.parametrize("name", ["00335.mp4", "00335.MP4", "00335.mov", "00335/1.jpg"])
def test_an_id_is_the_name_without_its_suffix(tmp_path, name):
    touch(tmp_path, name)
    (tmp_path / "labels.csv").write_text("video_id,gloss,split\n00335,book,test\n")
    (instance,) = read_manifest(tmp_path).instances
    assert instance.path == str(tmp_path / name.removesuffix("/1.jpg"))


def test_without_splits_they_are_made_gloss_by_gloss(tmp_path):
    rows = [f"{gloss}{k}.mp4,{gloss}" for gloss in "ab" for k in range(10)]
    rows += ["c.mp4,c", "d.mp4,d", "e.mp4,d"]
    touch(tmp_path, *[row.split(",")[0] for row in rows])
    (tmp_path / "labels.csv").write_text("\n".join(["video,label", *rows]))
    manifest = read_manifest(tmp_path)
    assert manifest.splits_from == "a hash of the names, as no split is given"
    counts = Counter((i.gloss, i.split) for i in manifest.instances)
    for gloss in "ab":
        assert [counts[gloss, split] for split in SPLITS] == [7, 2, 1]
    # Every gloss keeps a train clip as long as it has one clip.
    assert [counts["c", split] for split in SPLITS] == [1, 0, 0]
    assert [counts["d", split] for split in SPLITS] == [1, 1, 0]
    # Where some rows have a split, one without it is a mistake.
    (tmp_path / "labels.csv").write_text("video,label,split\na0.mp4,a,train\na1.mp4,a,")
    with pytest.raises(ManifestError, match=r"line 3: split must be .*, got ''"):
        read_manifest(tmp_path)
    (tmp_path / "labels.csv").write_text("video,label,split\na0.mp4,a,\na1.mp4,a,")
    assert {i.split for i in read_manifest(tmp_path).instances} == {"train", "val"}


def test_a_table_for_each_split_is_one_data_set(tmp_path):
    touch(tmp_path / "v", "1.mp4", "2.mp4", "3.mp4")
    for name, rows in [
        ("train", "1.mp4,a"),
        ("labels_valid", "2.mp4,b"),
        ("Test-Set", "3.mp4,a"),
    ]:
        (tmp_path / f"{name}.csv").write_text(f"path,gloss\n{rows}\n")
    manifest = read_manifest(tmp_path / "v")
    assert {v: values[:2] for v, values in found(manifest).items()} == {
        "1.mp4": ("a", "train"),
        "2.mp4": ("b", "val"),
        "3.mp4": ("a", "test"),
    }
    assert manifest.annotations == str(tmp_path)
    (tmp_path / "more.csv").write_text("path,gloss\n3.mp4,a\n")
    with pytest.raises(
        ManifestError, match=r"has several tables of labels: .*more\.csv.*; name one"
    ):
        read_manifest(tmp_path / "v")


def test_names_of_signers_become_numbers(tmp_path):
    touch(tmp_path, "1.mp4", "2.mp4")
    text = "path,gloss,split,signer\n1.mp4,a,train,berta\n2.mp4,a,val,anna\n"
    (tmp_path / "labels.csv").write_text(text)
    manifest = read_manifest(tmp_path)
    assert [i.signer_id for i in manifest.instances] == [1, 0]
    assert "2 signers are numbered in alphabetical order: anna is 0" in manifest.notes


def test_glosses_that_differ_in_capitals_are_remarked(tmp_path):
    touch(tmp_path, "1.mp4", "2.mp4")
    text = "path,gloss,split\n1.mp4,Hello,train\n2.mp4,hello,train\n"
    (tmp_path / "labels.csv").write_text(text)
    (note,) = read_manifest(tmp_path).notes
    assert "differ only in capitals" in note
    assert "1, such as 'Hello' and 'hello'" in note


@pytest.mark.parametrize(
    ("there", "path", "reason"),
    [
        ("1.mp4", "v/1.mp4", "'v/1.mp4' lies there as 1.mp4; the paths start with the "
         "folder 'v', which is not in --src: remove it"),
        ("1.mp4", "C:\\data\\v\\1.mp4", "the folder 'C:/data/v', which is not in"),
        ("1.mp4", "/home/anna/v/1.mp4", "the folder 'home/anna/v', which is not in"),
        ("a/b/1.mp4", "b/1.mp4", "lies there as a/b/1.mp4; name the folder .*/a with"),
        ("a/1.mp4", "b/1.mp4", "lies there as a/1.mp4; change the table or --src"),
        ("1.mp4", "1.avi", "1.mp4 is there, with another extension or in other"),
        ("a/1.MP4", "a/1.wmv", "a/1.MP4 is there, with another extension or in other"),
        ("1.mp4", "7.mp4", "its first is '7.mp4', and the first video in .* is 1.mp4"),
        ("1.txt", "1.mp4", "there is no video in .*; check --src"),
    ],
)  # fmt: skip
def test_a_table_whose_videos_are_not_there_has_the_reason(
    tmp_path, there, path, reason
):
    touch(tmp_path / "v", there)
    (tmp_path / "labels.csv").write_text(f"path,gloss,split\n{path},hello,train\n")
    with pytest.raises(ManifestError, match="none of the 1 videos in .*: .*" + reason):
        read_manifest(tmp_path / "v")


def test_zeros_that_a_spreadsheet_removed_are_put_back(tmp_path):
    touch(tmp_path, "00335.mp4", "00336.mp4", "10004.mp4", "007.mov", "0007.mov")
    rows = "335,book,train\n10004,book,val\n336.MP4,book,val\n7,book,test\n"
    (tmp_path / "labels.csv").write_text(f"video_id,gloss,split\n{rows}")
    manifest = read_manifest(tmp_path)
    paths = [i.path and os.path.basename(i.path) for i in manifest.instances]
    # Of two that it may be, none is taken.
    assert paths == ["00335.mp4", "10004.mp4", "00336.mp4", None]
    assert manifest.notes == (
        "names found with zeros in front, which a spreadsheet removes: 2",
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [("120", 120), ("120.", 120), ("+120", 120), ("1.2E+02", 120), ("1,2e2", 120)],
)
def test_a_whole_number_in_any_form_is_one(tmp_path, text, number):
    touch(tmp_path, "1.mp4")
    rows = f"path;gloss;split;stop\n1.mp4;book;train;{text}\n"
    (tmp_path / "labels.csv").write_text(rows)
    assert read_manifest(tmp_path).instances[0].stop == number


@pytest.mark.parametrize("text", ["1.25e1", "1.5", "12 0", "0x10", "1e99"])
def test_any_other_number_is_none(tmp_path, text):
    touch(tmp_path, "1.mp4")
    rows = f"path,gloss,split,stop\n1.mp4,book,train,{text}\n"
    (tmp_path / "labels.csv").write_text(rows)
    with pytest.raises(ManifestError, match=r"line 2: stop must be a whole number"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ("Day1/A.MP4", "day1/a.mp4"),
        ("day1/a.MOV", "DAY1/A"),
        ("my video.mp4", "my%20video.mp4"),
        ("50%.mp4", "50%.mp4"),
        ("00335.mp4", '="00335"'),
    ],
)
def test_a_file_is_found_under_other_spellings(tmp_path, there, name):
    touch(tmp_path, there)
    (tmp_path / "labels.csv").write_text(f"path,gloss,split\n{name},hello,train\n")
    manifest = read_manifest(tmp_path)
    assert manifest.instances[0].path == str(tmp_path / there)
    is_recased = there.lower() != there and name != there
    assert ("names found in other capitals: 1" in manifest.notes) == is_recased


def test_of_two_names_in_other_capitals_none_is_taken(tmp_path):
    touch(tmp_path, "A.mp4", "a.MP4", "b.mp4")
    text = "path,gloss,split\na.mp4,hello,train\nb.mp4,hello,train\n"
    (tmp_path / "labels.csv").write_text(text)
    # A suffix counts in any case before a name does.
    paths = [i.path for i in read_manifest(tmp_path).instances]
    assert paths == [str(tmp_path / "a.MP4"), str(tmp_path / "b.mp4")]
    touch(tmp_path, "A.MP4")
    (tmp_path / "a.MP4").rename(tmp_path / "x.mp4")
    assert read_manifest(tmp_path).instances[0].path is None


def test_two_spellings_of_one_file_are_refused(tmp_path):
    touch(tmp_path, "1.mp4")
    text = "path,gloss,split,start,stop\n1.mp4,a,train,0,9\n./1.mp4,b,val,9,12\n"
    (tmp_path / "labels.csv").write_text(text)
    assert len(read_manifest(tmp_path).instances) == 2
    (tmp_path / "labels.csv").write_text(text.replace("9,12", "0,9"))
    with pytest.raises(
        ManifestError,
        match=r"'1\.mp4#0-9' and '\./1\.mp4#0-9' are one file, as 'a' in train and as",
    ):
        read_manifest(tmp_path)
