import subprocess
import sys

import cv2
import numpy as np
import pytest
from drawn_signers import draw_still

from wlasl_tfrecord.synthetic.video import write_video
from wlasl_tfrecord.synthetic.videos import SyntheticConfig, plan_videos

CONFIG = SyntheticConfig(train_signers=1, val_signers=1, test_signers=1, repeats=1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Some videos of a plan, and the folder that they are in."""
    folder = tmp_path_factory.mktemp("drawn")
    videos = plan_videos(CONFIG)
    chosen = [*videos[::8], next(v for v in videos if v.gloss == "rise")]
    for video in chosen:
        assert write_video(folder, video) == folder / f"{video.video_id}.mp4"
    return folder, chosen


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    assert capture.isOpened()
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            return np.stack(frames), capture.get(cv2.CAP_PROP_FPS)
        frames.append(frame)


def test_a_video_has_the_size_rate_and_frames_of_its_plan(drawn):
    folder, videos = drawn
    for video in videos:
        frames, fps = read_video(folder / f"{video.video_id}.mp4")
        assert frames.shape == (
            video.num_frames, video.signer.height, video.signer.width, 3,
        )  # fmt: skip
        assert fps == pytest.approx(video.signer.fps, rel=1e-3)


def test_a_video_shows_what_was_drawn(drawn):
    folder, videos = drawn
    video = next(v for v in videos if v.gloss == "rise")
    frames, _ = read_video(folder / f"{video.video_id}.mp4")
    index = video.num_frames // 2
    # Without the camera's noise.
    shown = cv2.GaussianBlur(frames[index, ..., ::-1], (0, 0), 3).astype(float)

    def difference_from(time):
        [still] = draw_still(video.signer, "rise", [time], video.motion)
        return np.abs(shown - cv2.GaussianBlur(still, (0, 0), 3)).mean()

    right = difference_from(index / (video.num_frames - 1))
    assert right < 3
    assert difference_from(0.0) > 1.5 * right


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
