"""Annotations of any content: a checked manifest or one line, never another error."""

import copy
import json
import os
import random

import pytest

from benchmarks.fuzz_kinds.annotations import NSLT, TABLE, WLASL
from wlasl_tfrecord.annotations.reader import read_manifest
from wlasl_tfrecord.errors import ManifestError, VideoError
from wlasl_tfrecord.shard_format.clips import SignRange
from wlasl_tfrecord.shard_format.layout import SPLITS
from wlasl_tfrecord.video.sampling import sign_range

WRONG = [
    None,
    True,
    0,
    -1,
    -(10**9),
    10**9,
    2**63,
    10**400,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "train",
    "00336",
    "book",
    "\ud800",
    "\x00",
    "a\nb",
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "x" * 100_000,
    [],
    [[]],
    [0],
    ["train"],
    {},
    {"gloss": "book"},
    {"": None},
]


def places(value, path=()):
    """Gives the path of every value inside a JSON value, itself included."""
    yield path
    children = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(value, path, new):
    """Gives a copy of a JSON value with another one at a path."""
    if not path:
        return new
    changed = copy.deepcopy(value)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = new
    return changed


def without(value, path):
    changed = copy.deepcopy(value)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    return changed


@pytest.fixture
def src(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for video_id in ("00335", "00336", "00338"):
        (folder / f"{video_id}.mp4").touch()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd.mp4").touch()
    (tmp_path / "wlasl_class_list.txt").write_text("0\tbook\n1\tdrink\n")
    return folder


def check(src, annotations):
    """Reads annotations; says whether they gave a manifest, and checks what came."""
    for split_by in ("annotations", "signer"):
        try:
            manifest = read_manifest(src, annotations=annotations, split_by=split_by)
        except ManifestError as error:
            message = str(error)
            assert message
            assert len(message.splitlines()) == 1
            assert len(message) < 600
            return False
        ids = [instance.video_id for instance in manifest.instances]
        assert len(set(ids)) == len(ids)
        for instance in manifest.instances:
            instance.video_id.encode()
            assert instance.gloss == manifest.glosses[instance.label]
            assert instance.gloss.encode().strip()
            assert instance.split in SPLITS
            assert -1 <= instance.signer_id < 2**63
            if instance.path is not None:
                assert instance.path.startswith(str(src))
                assert ".." not in instance.path
            if instance.problem is None:
                check_range(instance)
            else:
                assert len(instance.problem) < 300
    return True


def check_range(instance):
    """A range that nothing speaks against is usable with any video."""
    for num_video_frames, fps in [(1, 25.0), (57, 29.97), (4232, 50.0)]:
        try:
            sign = sign_range(
                num_video_frames,
                fps,
                instance.start,
                instance.stop,
                instance.annotation_fps,
            )
        except VideoError:
            assert instance.annotation_fps is None
            continue
        assert isinstance(sign, SignRange)
        assert 0 <= sign.start < sign.stop <= num_video_frames


@pytest.mark.parametrize(
    ("name", "content"), [("WLASL_v0.3.json", WLASL), ("nslt_2.json", NSLT)]
)
def test_a_wrong_value_anywhere_is_one_line_or_one_instance(src, name, content):
    annotations = src.parent / name
    annotations.write_text(json.dumps(content))
    assert check(src, annotations) is (name == "WLASL_v0.3.json")
    outcomes = []
    for path in places(content):
        for wrong in WRONG:
            annotations.write_text(json.dumps(replaced(content, path, wrong)))
            outcomes.append(check(src, annotations))
        if path:
            annotations.write_text(json.dumps(without(content, path)))
            outcomes.append(check(src, annotations))
    assert len(outcomes) > 300


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("WLASL_v0.3.json", json.dumps(WLASL)),
        ("nslt_2.json", json.dumps(NSLT)),
        ("table.csv", TABLE),
    ],
)
def test_damaged_bytes_are_one_line_or_still_a_manifest(src, name, content):
    annotations = src.parent / name
    generator = random.Random(name)
    outcomes = []
    for _ in range(400):
        data = bytearray(content.encode())
        for _ in range(generator.choice([1, 1, 1, 5])):
            kind = generator.randrange(4)
            position = generator.randrange(len(data))
            if kind == 0:
                data[position] ^= 1 << generator.randrange(8)
            elif kind == 1:
                del data[position : position + generator.randrange(1, 20)]
            elif kind == 2:
                data[position:position] = generator.randbytes(generator.randrange(1, 9))
            else:
                end = position + generator.randrange(1, 60)
                data[position:position] = data[position:end]
            if not data:
                data = bytearray(b"x")
        annotations.write_bytes(data)
        outcomes.append(check(src, annotations))
    # Both happen, so both are tested.
    assert 5 < sum(outcomes) < 395 or name == "nslt_2.json"


def test_a_wrong_value_in_any_cell_is_one_line_or_one_instance(src):
    annotations = src.parent / "table.csv"
    rows = [line.split(",") for line in TABLE.splitlines()]
    words = [w for w in WRONG if isinstance(w, str) and w not in ("\ud800", "\x00")]
    words += [str(w) for w in WRONG if isinstance(w, int | float)] + [
        '"',
        "'",
        "é",
        ",",
    ]
    for row in range(len(rows)):
        for column in range(6):
            for word in words:
                changed = copy.deepcopy(rows)
                changed[row][column] = f'"{word}"' if "\n" in word else word
                text = "".join(",".join(cells) + "\n" for cells in changed)
                annotations.write_text(text, encoding="utf-8")
                check(src, annotations)


def test_a_file_of_a_million_glosses_or_brackets_is_read_in_seconds(src):
    annotations = src.parent / "WLASL_v0.3.json"
    annotations.write_text("[" * 10**6)
    assert not check(src, annotations)
    many = [{"gloss": f"g{k}", "instances": []} for k in range(10**5)]
    annotations.write_text(json.dumps([*many, *WLASL]))
    assert check(src, annotations)


@pytest.mark.parametrize("name", ["WLASL_v0.3.json", "nslt_100.json", "a.csv"])
def test_a_file_that_would_hang_or_fill_the_memory_is_one_line(tmp_path, name):
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "00335.mp4").touch()
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(ManifestError, match=r"no annotation file at .*"):
        read_manifest(tmp_path / "v", annotations=path)
    path.unlink()
    path.write_text("path,gloss,split\n" if name == "a.csv" else "[]")
    os.truncate(path, 2**40)
    with pytest.raises(ManifestError, match=r"cannot read .*: it has 1,099,511,627,"):
        read_manifest(tmp_path / "v", annotations=path)
