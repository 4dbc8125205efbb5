import json
import os
import subprocess
import sys

import numpy as np
import pytest

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.synthetic import poses
from wlasl_tfrecord.synthetic.videos import (
    ANNOTATIONS_NAME,
    SyntheticConfig,
    plan_videos,
    write_videos,
)

SMALL = SyntheticConfig(train_signers=1, val_signers=1, test_signers=1, repeats=1)


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    return root, write_videos(root, SMALL, workers=2)


def test_videos_lie_as_in_wlasl(small_set):
    root, videos = small_set
    assert sorted(os.listdir(root)) == ["WLASL_v0.3.json", "videos"]
    names = sorted(os.listdir(root / "videos"))
    assert names == [f"{number:05d}.mp4" for number in range(1, 25)]
    assert [video.video_id for video in videos] == [name[:5] for name in names]


def test_annotations_have_the_keys_of_wlasl(small_set):
    root, videos = small_set
    annotations = json.loads((root / "WLASL_v0.3.json").read_text())
    assert [entry["gloss"] for entry in annotations] == list(poses.SIGNS)
    instances = [i for entry in annotations for i in entry["instances"]]
    assert [i["video_id"] for i in instances] == [video.video_id for video in videos]
    for instance, video in zip(instances, videos):
        assert set(instance) == {
            "bbox", "fps", "frame_end", "frame_start", "instance_id", "signer_id",
            "source", "split", "url", "variation_id", "video_id",
        }  # fmt: skip
        assert instance["split"] == video.split
        assert instance["signer_id"] == video.signer.signer_id
        left, top, right, bottom = instance["bbox"]
        assert 0 <= left < right <= video.signer.width
        assert 0 <= top < bottom <= video.signer.height


def test_the_same_seed_gives_the_same_bytes_for_any_number_of_workers(
    small_set, tmp_path
):
    root, _ = small_set
    write_videos(tmp_path, SMALL, workers=1)
    for path in (root / "videos").iterdir():
        assert path.read_bytes() == (tmp_path / "videos" / path.name).read_bytes()
    name = ANNOTATIONS_NAME
    assert (root / name).read_bytes() == (tmp_path / name).read_bytes()


def test_another_seed_gives_another_set():
    first = plan_videos(SyntheticConfig(seed=0))
    other = plan_videos(SyntheticConfig(seed=1))
    assert [v.video_id for v in first] == [v.video_id for v in other]
    assert [v.signer for v in first] != [v.signer for v in other]
    assert [v.motion for v in first] != [v.motion for v in other]


def test_no_signer_is_in_two_splits():
    by_split = {"train": set(), "val": set(), "test": set()}
    for video in plan_videos(SyntheticConfig()):
        by_split[video.split].add(video.signer.signer_id)
    assert [len(by_split[split]) for split in by_split] == [14, 4, 4]
    assert len(set.union(*by_split.values())) == 22


def hands_of(config):
    """Returns what perfect eyes would see: float [N, T, 5] hands, glosses, splits."""
    videos = [
        video
        for video in plan_videos(config)
        if video.gloss in ("rise", "fall", "open", "close")
    ]
    tracks = []
    for video in videos:
        path = [
            poses.pose_at(video.gloss, time, video.motion)
            for time in np.linspace(0, 1, 30)
        ]
        tracks.append(
            [
                [p.right.x, p.right.y, p.left.x, p.left.y, p.right.angle / 90]
                for p in path
            ]
        )
    splits = np.array([video.split for video in videos])
    return np.array(tracks), np.array([video.gloss for video in videos]), splits


def nearest_class_accuracy(features, glosses, splits):
    """Fits ridge regression to one-hot glosses on train; scores the other splits."""
    names = np.unique(glosses)
    targets = (glosses[:, None] == names).astype(float)
    train = splits == "train"
    mean, scale = features[train].mean(0), features[train].std(0) + 1e-6
    inputs = np.c_[(features - mean) / scale, np.ones(len(features))]
    gram = inputs[train].T @ inputs[train] + 0.1 * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs[train].T @ targets[train])
    guesses = names[(inputs[~train] @ weights).argmax(1)]
    return (guesses == glosses[~train]).mean()


def test_only_the_order_of_frames_tells_mirrored_signs_apart():
    # Even eyes that see every hand without error cannot tell rise from fall, and open
    # from close, by statistics of a video's frames that do not depend on their order.
    config = SyntheticConfig(
        train_signers=20, val_signers=10, test_signers=10, repeats=5
    )
    tracks, glosses, splits = hands_of(config)
    pooled = np.concatenate(
        [
            tracks.mean(1),
            tracks.std(1),
            np.sort(tracks, axis=1)[:, ::3].reshape(len(tracks), -1),
        ],
        axis=1,
    )
    ordered = tracks.reshape(len(tracks), -1)
    # Two pairs that cannot be told apart inside: chance is one half.
    assert 0.4 < nearest_class_accuracy(pooled, glosses, splits) < 0.6
    assert nearest_class_accuracy(ordered, glosses, splits) > 0.97


def test_videos_that_are_there_are_not_overwritten(small_set):
    root, _ = small_set
    with pytest.raises(OutputError, match="videos exists; remove it or choose another"):
        write_videos(root, SMALL)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write videos to .*file"):
        write_videos(tmp_path / "file", SMALL)


def test_an_interrupted_set_is_not_taken_for_a_whole_one(tmp_path):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_videos(tmp_path, SMALL, workers=1, on_video=stop)
    assert not (tmp_path / "videos").exists()
    write_videos(tmp_path, SMALL)
    assert sorted(os.listdir(tmp_path)) == ["WLASL_v0.3.json", "videos"]


def test_drawing_runs_nothing_of_the_current_folder(tmp_path):
    (tmp_path / "multiprocessing.py").write_text("open('canary', 'w')")
    program = tmp_path / "programs" / "draw.py"
    program.parent.mkdir()
    program.write_text(
        f"import sys; sys.path[:] = {[path for path in sys.path if path]}\n"
        "from wlasl_tfrecord.synthetic.videos import SyntheticConfig, write_videos\n"
        "if __name__ == '__main__':\n"
        "    size = {'train_signers': 1, 'val_signers': 1, 'test_signers': 1}\n"
        "    write_videos('out', SyntheticConfig(repeats=1, **size), workers=1)\n"
    )
    subprocess.run([sys.executable, str(program)], cwd=tmp_path, check=True)
    assert len(os.listdir(tmp_path / "out" / "videos")) == 24
    assert not (tmp_path / "canary").exists()


def test_a_set_needs_signers_and_repeats():
    with pytest.raises(ValueError, match="train_signers must be at least 1, got 0"):
        SyntheticConfig(train_signers=0)
    with pytest.raises(ValueError, match="no five-digit ids for 176000 videos"):
        SyntheticConfig(repeats=1000)
