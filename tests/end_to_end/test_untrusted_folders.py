"""Shard folders of any content: read, or refused in one line, never another error.

The files of a small folder are changed at random, the same changes in every run.
"""

import copy
import dataclasses
import hashlib
import json
import random
import shutil

import pytest
from drawn_manifests import drawn_manifest

from wlasl_tfrecord.errors import WlaslError
from wlasl_tfrecord.inspection.summary import summarize, summary_text
from wlasl_tfrecord.inspection.verify_files import verify_files
from wlasl_tfrecord.shard_format.clips import ClipSpec
from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.output_folder import check_output_folder
from wlasl_tfrecord.sharding.resume import known_shards
from wlasl_tfrecord.sharding.sharder import write_shards

OPTIONS = ShardOptions(clip=ClipSpec(num_frames=2, height=8, width=8))
# Values that a program may take for others, or choke on.
ODD_VALUES = [
    *(None, True, False, 0, -1, 1, 1.5, 10**9, 2**31, 2**63, 2**64, 10**400, 1e308),
    *(float("nan"), float("inf"), "", "x", "../x", "\ud800", "a\nb", "\0", "9" * 5000),
    *([], {}, [[]], {"": ""}, [None], ["x"], {"name": 7}),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, videos):
    """A folder with clips in two splits, and with failures."""
    out = tmp_path_factory.mktemp("whole") / "shards"
    (out.parent / "broken.mp4").write_bytes(b"<html>")
    manifest = drawn_manifest(videos)
    broken = dataclasses.replace(
        manifest.instances[0], video_id="x", path=str(out.parent / "broken.mp4")
    )
    more = dataclasses.replace(manifest, instances=(*manifest.instances, broken))
    write_shards(more, out, options=OPTIONS, workers=2)
    return out


def places(value, path=()):
    """Yields the path to every value inside of a value."""
    yield path
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from places(value[key], (*path, key))


def changed_json(text, generator):
    """Changes one place of a JSON text, or a few of its characters."""
    if generator.random() < 0.3:
        return changed_bytes(text, generator)
    content = copy.deepcopy(json.loads(text))
    for _ in range(generator.randint(1, 3)):
        path = generator.choice(list(places(content)))
        odd = copy.deepcopy(generator.choice(ODD_VALUES))
        if not path:
            content = odd
            continue
        parent = content
        for key in path[:-1]:
            parent = parent[key]
        if generator.random() < 0.2:
            del parent[path[-1]]
        else:
            parent[path[-1]] = odd
    return json.dumps(content).encode()


def changed_bytes(content, generator):
    content = bytearray(content)
    for _ in range(generator.randint(1, 4)):
        start = generator.randrange(len(content) + 1)
        stop = start + generator.choice([0, 1, 1, 8, 200])
        content[start:stop] = generator.choice(
            [b"", b"\0", b"\xff", b'"', b",", b"\n", b"-", b"[" * 5000, b"9" * 400]
        )
    return bytes(content)


def changed_table(content, generator):
    """Changes cells of a CSV, or a few of its characters."""
    if generator.random() < 0.3:
        return changed_bytes(content, generator)
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(generator.randint(1, 3)):
        row = generator.choice(rows)
        odd = str(generator.choice(ODD_VALUES)).encode("utf-8", "replace").decode()
        row[generator.randrange(len(row))] = odd
    return "".join(",".join(row) + "\n" for row in rows).encode()


def read_all(directory):
    """Does what readers, inspection and the next run do with the small files."""
    folder = load_folder(directory)
    for split in folder.splits:
        records = load_records(folder, split)
        # What a reader relies on without a look.
        assert all(folder.glosses[label] for label in records.labels)
        assert (records.offsets >= 0).all()
    verify_files(folder)
    summary_text(summarize(folder))


def resume(directory):
    check_output_folder(str(directory))
    known_shards(str(directory), OPTIONS, overwrite=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("index.json", changed_json),
        ("dataset_info.json", changed_json),
        ("report.json", changed_json),
        ("wlasl-train.index.csv", changed_table),
    ],
)
def test_a_folder_with_changed_files_is_read_or_refused(tmp_path, whole, name, change):
    directory = tmp_path / "shards"
    shutil.copytree(whole, directory)
    content = (directory / name).read_bytes()
    index = (directory / "index.json").read_text()
    old_sha256 = hashlib.sha256(content).hexdigest()
    generator = random.Random(name)
    refused = 0
    for _ in range(2000):
        forged = change(content, generator)
        (directory / name).write_bytes(forged)
        if name.endswith(".csv"):
            # As whoever forges a table would do.
            new_sha256 = hashlib.sha256(forged).hexdigest()
            (directory / "index.json").write_text(index.replace(old_sha256, new_sha256))
        refused += is_refused(read_all, directory, forged)
        refused += is_refused(resume, directory, forged)
    assert refused > 800


def is_refused(use, directory, forged):
    try:
        use(directory)
    except WlaslError as error:
        return len(str(error)) < 20_000
    except BaseException:
        print(f"with {forged[:2000]!r}")
        raise
    return False
