"""Who signs, and what is in train too: read from a real folder of bin/shard."""

import json
import shutil

import numpy as np
import pytest
import sharding
from drawn_videos import write_numbered_video

from wlasl_tfrecord.evaluation.groups import groups_of
from wlasl_tfrecord.shard_format.shard_folder import load_folder, load_records


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Six videos: in test one signer of train, one other, one unknown, and a copy."""
    root = tmp_path_factory.mktemp("groups")
    rows = ["path,gloss,split,signer_id"]
    signers = [("train", 1), ("train", 2)]
    signers += [("test", signer) for signer in (1, 3, "", 4)]
    for n, (split, signer) in enumerate(signers):
        path = write_numbered_video(root / "videos" / f"{n}.mp4", first_number=100 * n)
        rows.append(f"{path.name},{'book' if n % 2 else 'drink'},{split},{signer}")
    copy = root / "videos" / "5.mp4"
    copy.write_bytes((root / "videos" / "1.mp4").read_bytes())
    (root / "videos" / "videos.csv").write_text("\n".join(rows) + "\n")
    assert sharding.shard_here(root / "videos", root / "shards") == 0
    return root / "shards"


def by_name(folder, groups):
    names = load_records(folder, "test").video_ids
    copies = [None] * len(names) if groups.is_copy is None else groups.is_copy.tolist()
    seen = groups.is_signer_seen.tolist()
    return dict(zip(names, zip(groups.signer_ids.tolist(), seen, copies)))


def test_signers_and_copies_are_known_by_clip(shards):
    folder = load_folder(shards)
    groups = groups_of(folder, "test", np.arange(4))
    assert by_name(folder, groups) == {
        "2.mp4": (1, True, False),
        "3.mp4": (3, False, False),
        "4.mp4": (-1, False, False),
        "5.mp4": (4, False, True),
    }


def test_clips_are_chosen_by_their_records(shards):
    folder = load_folder(shards)
    every = groups_of(folder, "test", np.arange(4))
    some = groups_of(folder, "test", np.array([3, 1]))
    assert some.signer_ids.tolist() == every.signer_ids[[3, 1]].tolist()
    np.testing.assert_array_equal(some.is_copy, np.array(every.is_copy)[[3, 1]])


@pytest.mark.parametrize("report", [None, "no JSON", "{}", '{"instances": [{}]}'])
def test_without_a_report_nobody_knows_of_copies(shards, tmp_path, report):
    for file in shards.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "report.json").unlink()
    if report is not None:
        (tmp_path / "report.json").write_text(report)
    folder = load_folder(tmp_path)
    groups = groups_of(folder, "test", np.arange(4))
    assert groups.is_copy is None
    assert sorted(groups.signer_ids) == [-1, 1, 3, 4]


def test_a_report_of_other_clips_is_not_believed(shards, tmp_path):
    for file in shards.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    report = json.loads((shards / "report.json").read_text())
    report["instances"] = report["instances"][:-1]
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert groups_of(load_folder(tmp_path), "test", np.arange(4)).is_copy is None


def test_train_is_no_copy_of_itself(shards):
    groups = groups_of(load_folder(shards), "train", np.arange(2))
    assert groups.is_copy is None
    assert groups.is_signer_seen.all()


def test_a_report_with_odd_values_is_no_error(shards, tmp_path):
    directory = tmp_path / "shards"
    shutil.copytree(shards, directory)
    report = json.loads((directory / "report.json").read_text())
    for instance in report["instances"]:
        instance["sha256"] = {"odd": []}
    (directory / "report.json").write_text(json.dumps(report))
    assert groups_of(load_folder(directory), "test", np.arange(4)).is_copy is not None
    (directory / "report.json").write_text("[" * 10**5)
    assert groups_of(load_folder(directory), "test", np.arange(4)).is_copy is None
