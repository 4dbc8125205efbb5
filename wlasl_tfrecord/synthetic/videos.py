"""A small set of drawn signing videos, laid out as WLASL is.

Real video files with the annotations beside them, for the demo and for anyone who wants
to try a pipeline before the real videos are there:

    out/WLASL_v0.3.json
    out/videos/00001.mp4 …

Signers differ in skin, hair, clothes, room, light, frame size, frame rate, speed and
distance to the camera. No signer is in two splits, so that a model has to learn the
sign and not the signer.
"""

import contextlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wlasl_tfrecord.errors import OutputError
from wlasl_tfrecord.files import num_cores, remove_folder, written_whole
from wlasl_tfrecord.synthetic import poses
from wlasl_tfrecord.synthetic.appearance import draw_signers
from wlasl_tfrecord.synthetic.poses import Motion
from wlasl_tfrecord.synthetic.video import SyntheticVideo, write_video

__all__ = ["ANNOTATIONS_NAME", "SyntheticConfig", "plan_videos", "write_videos"]

ANNOTATIONS_NAME = "WLASL_v0.3.json"


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """How large a set to draw.

    Attributes:
        train_signers: Signers in the train split.
        val_signers: Signers in the val split.
        test_signers: Signers in the test split.
        repeats: How often each signer signs each gloss.
        seed: The same seed gives the same frames, another seed another set.

    Raises:
        ValueError: If there is no signer or repeat, or there are more videos than
            five-digit ids.
    """

    train_signers: int = 14
    val_signers: int = 4
    test_signers: int = 4
    repeats: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject sets that cannot be drawn."""
        for name in ("train_signers", "val_signers", "test_signers", "repeats"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.num_videos > 99_999:
            raise ValueError(
                f"no five-digit ids for {self.num_videos} videos; ask for fewer "
                "signers or repeats"
            )

    @property
    def num_signers(self) -> int:
        """How many signers there are in all."""
        return self.train_signers + self.val_signers + self.test_signers

    @property
    def num_videos(self) -> int:
        """How many videos there are in all."""
        return self.num_signers * self.repeats * len(poses.SIGNS)


def write_videos(
    out_dir: str | os.PathLike[str],
    config: SyntheticConfig,
    *,
    workers: int | None = None,
    on_video: Callable[[], object] | None = None,
) -> tuple[SyntheticVideo, ...]:
    """Draws a set of videos and their annotations.

    Args:
        out_dir: The folder to make; it gets `videos/` and `WLASL_v0.3.json`.
        config: How large a set.
        workers: Number of processes; by default one per core. The frames do not
            depend on it.
        on_video: Called after each video, for a progress bar.

    Returns:
        The drawn videos, in the order of ids.

    Raises:
        OutputError: If the folder has videos already, or cannot be written.
    """
    root = Path(out_dir).absolute()
    videos_dir = root / "videos"
    if videos_dir.exists():
        raise OutputError(f"{videos_dir} exists; remove it or choose another folder")
    videos = plan_videos(config)
    # Written aside, so that an interrupted run leaves no set that looks complete.
    partial_dir = root / "videos.partial"
    remove_folder(partial_dir)
    try:
        partial_dir.mkdir(parents=True)
        # Not fork: a fork of a process in which TensorFlow or OpenCV started threads
        # may hang.
        context = multiprocessing.get_context("spawn")
        workers = max(1, min(workers or num_cores(), len(videos)))
        with (
            _working_in(partial_dir),
            ProcessPoolExecutor(workers, mp_context=context) as pool,
        ):
            jobs = [pool.submit(write_video, partial_dir, video) for video in videos]
            try:
                for job in as_completed(jobs):
                    job.result()
                    if on_video is not None:
                        on_video()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        text = json.dumps(_annotations(videos), indent=1)
        with written_whole(root / ANNOTATIONS_NAME) as aside:
            aside.write_text(text, encoding="utf-8")
        os.replace(partial_dir, videos_dir)
    except OSError as error:
        raise OutputError(
            f"cannot write videos to {root}: {error.strerror or error}"
        ) from error
    return videos


@contextlib.contextmanager
def _working_in(directory: Path) -> Iterator[None]:
    """Changes the current folder for a while.

    Python looks for `multiprocessing` there first when it starts a process, and would
    run a file of that name among somebody's videos.
    """
    before = os.getcwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


def plan_videos(config: SyntheticConfig) -> tuple[SyntheticVideo, ...]:
    """Chooses what each signer signs, and how, before anything is drawn.

    Returns:
        All videos in the order of ids: gloss after gloss, as in WLASL's JSON.
    """
    signers = draw_signers(config.num_signers, config.seed)
    splits = (
        ["train"] * config.train_signers
        + ["val"] * config.val_signers
        + ["test"] * config.test_signers
    )
    videos: list[SyntheticVideo] = []
    for gloss_index, gloss in enumerate(poses.SIGNS):
        for signer, split in zip(signers, splits):
            for repeat in range(config.repeats):
                seed = (config.seed, 1, signer.signer_id, gloss_index, repeat)
                rng = np.random.default_rng(seed)
                duration_seconds = rng.uniform(1.2, 1.8) / signer.tempo
                # Both from one distribution, so that only the order of the frames
                # distinguishes a sign from its reverse.
                lead_in, lead_out = rng.uniform(0.17, 0.3, size=2)
                motion = Motion(
                    lead_in=lead_in,
                    lead_out=lead_out,
                    amplitude=rng.uniform(0.85, 1.1),
                    offset_x=rng.normal(0, 0.07),
                    offset_y=rng.normal(0, 0.07),
                    tremor=rng.uniform(0.005, 0.02),
                    tremor_phase=rng.uniform(0, 2 * np.pi),
                )
                video = SyntheticVideo(
                    video_id=f"{len(videos) + 1:05d}",
                    gloss=gloss,
                    split=split,
                    repeat=repeat,
                    signer=signer,
                    motion=motion,
                    num_frames=round(duration_seconds * signer.fps),
                    seed=seed,
                )
                videos.append(video)
    return tuple(videos)


def _annotations(videos: Sequence[SyntheticVideo]) -> list[Mapping[str, Any]]:
    """Returns the annotations of the videos, in the format of WLASL_v0.3.json."""
    glosses: dict[str, list[Mapping[str, Any]]] = {}
    for video in videos:
        signer = video.signer
        center_x, neck_y = signer.neck
        reach = 2.1 * signer.head_pixels
        instances = glosses.setdefault(video.gloss, [])
        instances.append(
            {
                "bbox": [
                    max(0, round(center_x - reach)),
                    max(0, round(neck_y - 1.5 * signer.head_pixels)),
                    min(signer.width, round(center_x + reach)),
                    signer.height,
                ],
                # The rate at which WLASL counts frames, whatever the file's rate is.
                "fps": 25,
                "frame_end": -1,
                "frame_start": 1,
                "instance_id": len(instances),
                "signer_id": signer.signer_id,
                "source": "synthetic",
                "split": video.split,
                "url": "",
                "variation_id": 0,
                "video_id": video.video_id,
            }
        )
    return [
        {"gloss": gloss, "instances": instances} for gloss, instances in glosses.items()
    ]
