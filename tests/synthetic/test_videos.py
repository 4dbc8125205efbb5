import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.synthetic import appearance, figure, poses
from wlasl_tfrecord.synthetic.poses import Motion
from wlasl_tfrecord.synthetic.videos import (
    ANNOTATIONS_NAME,
    SyntheticConfig,
    plan_videos,
    write_videos,
)

SMALL = SyntheticConfig(train_signers=1, val_signers=1, test_signers=1, repeats=1)
MIRRORS = (("rise", "fall"), ("open", "close"))


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    return root, write_videos(root, SMALL, workers=2)


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    assert capture.isOpened()
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            return np.stack(frames), capture.get(cv2.CAP_PROP_FPS)
        frames.append(frame)


def draw_still(signer, gloss, times, motion):
    """Draws frames without noise and sway, uint8 [N, H, W, 3]."""
    background = figure.draw_background(signer)
    drawn = [
        figure.draw_frame(signer, poses.pose_at(gloss, time, motion), background)
        for time in times
    ]
    return np.stack(drawn)


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


def test_a_video_has_the_size_rate_and_frames_of_its_plan(small_set):
    root, videos = small_set
    for video in videos[::5]:
        frames, fps = read_video(root / "videos" / f"{video.video_id}.mp4")
        assert frames.shape == (
            video.num_frames, video.signer.height, video.signer.width, 3,
        )  # fmt: skip
        assert fps == pytest.approx(video.signer.fps, rel=1e-3)


def test_a_video_shows_what_was_drawn(small_set):
    root, videos = small_set
    video = next(v for v in videos if v.gloss == "rise")
    frames, _ = read_video(root / "videos" / f"{video.video_id}.mp4")
    index = video.num_frames // 2
    # Without the camera's noise.
    shown = cv2.GaussianBlur(frames[index, ..., ::-1], (0, 0), 3).astype(float)

    def difference_from(time):
        [still] = draw_still(video.signer, "rise", [time], video.motion)
        return np.abs(shown - cv2.GaussianBlur(still, (0, 0), 3)).mean()

    right = difference_from(index / (video.num_frames - 1))
    assert right < 3
    assert difference_from(0.0) > 1.5 * right


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


def test_signers_differ_in_all_that_should_not_matter():
    drawn = appearance.draw_signers(14, seed=0)
    for name in ("skin", "clothes", "wall", "room", "fps", "tempo", "light"):
        assert len({getattr(signer, name) for signer in drawn}) >= 5
    assert len({(signer.width, signer.height) for signer in drawn}) >= 5


def test_every_sign_is_static_or_dynamic():
    assert set(poses.STATIC_SIGNS) | set(poses.DYNAMIC_SIGNS) == set(poses.SIGNS)
    assert len(poses.SIGNS) == 8
    for gloss in poses.STATIC_SIGNS:
        first, last = (poses.pose_at(gloss, time, Motion()) for time in (0.3, 0.7))
        assert first == last
    for gloss in poses.DYNAMIC_SIGNS:
        first, last = (poses.pose_at(gloss, time, Motion()) for time in (0.3, 0.7))
        # At least half a head: a movement that shows at 64 pixels.
        assert (
            np.hypot(first.right.x - last.right.x, first.right.y - last.right.y) > 0.5
        )


@pytest.mark.parametrize("pair", MIRRORS)
def test_a_mirrored_sign_is_the_other_one_backwards(pair):
    one, other = pair
    signer = appearance.draw_signers(1, seed=3)[0]
    forwards = Motion(lead_in=0.2, lead_out=0.3, amplitude=0.9, offset_x=0.1)
    backwards = Motion(lead_in=0.3, lead_out=0.2, amplitude=0.9, offset_x=0.1)
    times = np.linspace(0, 1, 9)
    frames = draw_still(signer, one, times, forwards)
    reversed_frames = draw_still(signer, other, times[::-1], backwards)
    # Rounding moves an edge by less than a pixel.
    assert np.abs(frames.astype(int) - reversed_frames).mean() < 0.05
    in_order = draw_still(signer, other, times, backwards)
    assert np.abs(frames.astype(int) - in_order).mean() > 1


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


def test_a_full_disk_is_an_error(tmp_path):
    # A limit on the size of files stands for the full disk.
    code = (
        "import resource, signal, sys\n"
        "from wlasl_tfrecord.synthetic import video, videos\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "planned = videos.plan_videos(videos.SyntheticConfig())[0]\n"
        "video.write_video(sys.argv[1], planned)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert "00001.mp4: the video could not be written; is the disk full?" in done.stderr


def test_an_interrupted_set_is_not_taken_for_a_whole_one(tmp_path):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_videos(tmp_path, SMALL, workers=1, on_video=stop)
    assert not (tmp_path / "videos").exists()
    write_videos(tmp_path, SMALL)
    assert sorted(os.listdir(tmp_path)) == ["WLASL_v0.3.json", "videos"]


def test_a_set_needs_signers_and_repeats():
    with pytest.raises(ValueError, match="train_signers must be at least 1, got 0"):
        SyntheticConfig(train_signers=0)
    with pytest.raises(ValueError, match="no five-digit ids for 176000 videos"):
        SyntheticConfig(repeats=1000)
