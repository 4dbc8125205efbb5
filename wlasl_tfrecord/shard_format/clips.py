"""A clip: its shape, where it came from, and which frames of a video make it."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from wlasl_tfrecord.text import shown

__all__ = [
    "FRAMINGS",
    "LANDMARK_FACTS",
    "MAX_FRAMES",
    "ClipFacts",
    "ClipSource",
    "ClipSpec",
    "Framing",
    "RangeRule",
    "SignRange",
    "frame_times_us",
]

Framing = Literal["center", "squash", "pad"]
FRAMINGS: tuple[Framing, ...] = ("center", "squash", "pad")

# whole: the annotation names no range. trimmed: it names one, but the file holds just
# the sign already. cut: the file is longer, and the range was taken out of it.
RangeRule = Literal["whole", "trimmed", "cut"]
RANGE_RULES: tuple[RangeRule, ...] = get_args(RangeRule)


# Nearly seven minutes at WLASL's 25 frames a second.
MAX_FRAMES = 10_000


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """The shape of every clip in a shard folder.

    Bounded, because it is read from files that anybody can write: a graph has an
    operation for each frame, and a clip is one record, whose proto has less than 2 GiB.

    Attributes:
        num_frames: Frames per clip, T.
        height: Frame height in pixels, H.
        width: Frame width in pixels, W.

    Raises:
        ValueError: If a size is no whole number, below 1, or too large.
    """

    num_frames: int = 30
    height: int = 224
    width: int = 224

    def __post_init__(self) -> None:
        """Reject sizes that no clip can have."""
        for name in ("num_frames", "height", "width"):
            value = getattr(self, name)
            if type(value) is not int:
                raise ValueError(f"{name} must be a whole number, got {value!r}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.num_frames > MAX_FRAMES:
            raise ValueError(
                f"num_frames must be at most {MAX_FRAMES:,}, got {self.num_frames}"
            )
        if self.num_bytes >= 2**31:
            raise ValueError(
                f"a clip of {self.num_frames} frames of {self.height}x{self.width} has "
                f"{self.num_bytes} bytes, a record holds less than 2 GiB; ask for "
                "fewer or smaller frames"
            )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(T, H, W, 3), the shape of one clip."""
        return (self.num_frames, self.height, self.width, 3)

    @property
    def num_bytes(self) -> int:
        """Bytes of one clip, uncompressed."""
        return self.num_frames * self.height * self.width * 3


class SignRange(NamedTuple):
    """The frames of a video that hold the sign.

    Attributes:
        start: First frame, counted from 0.
        stop: One past the last frame.
        rule: How the annotation was read; stored in every record.
    """

    start: int
    stop: int
    rule: RangeRule


@dataclass(frozen=True, kw_only=True)
class ClipSource:
    """Where the frames of one clip lie in its video.

    Attributes:
        video_fps: The file's own frames per second.
        num_video_frames: Frames that were decoded or counted in the file, N.
        sign: The frames that hold the sign.
        frame_indices: T frame numbers of the video, never decreasing.
        sha256: Hex digest of the file's bytes (of a folder of images: of all its
            files).
        num_promised_frames: How many frames the file says it has; 0 if it does not.
        sign_seconds: When the first and the last frame of the sign are shown, seconds
            from the start of the video, if its rate varies; None if it is constant.
    """

    video_fps: float
    num_video_frames: int
    sign: SignRange
    frame_indices: tuple[int, ...]
    sha256: str
    num_promised_frames: int = 0
    sign_seconds: tuple[float, float] | None = None

    @property
    def num_distinct_frames(self) -> int:
        """How many different frames the clip shows; below T for a short video."""
        return len(set(self.frame_indices))

    @property
    def frame_times_us(self) -> tuple[int, ...]:
        """T instants, microseconds from the start of the video, strictly growing."""
        return frame_times_us(
            self.sign, len(self.frame_indices), self.video_fps, self.sign_seconds
        )

    @property
    def start_us(self) -> int:
        """When the sign starts, microseconds from the start of the video."""
        if self.sign_seconds is not None:
            return round(self.sign_seconds[0] * 1e6)
        return round(self.sign.start / self.video_fps * 1e6)

    @property
    def stop_us(self) -> int:
        """When the sign is over, a frame's time after its last frame."""
        if self.sign_seconds is not None:
            return round((self.sign_seconds[1] + 1 / self.video_fps) * 1e6)
        return round(self.sign.stop / self.video_fps * 1e6)


# The facts that only clips with landmarks have.
LANDMARK_FACTS = ("num_left_hand_frames", "num_right_hand_frames", "num_pose_frames")


@dataclass(frozen=True, kw_only=True)
class ClipFacts:
    """What report.json says of a clip besides its annotation.

    One value travels from the worker that decoded the clip to the report, and back from
    the report of a finished folder. A new fact is a field here and an argument in `of`;
    one with a default is left out of the JSON where it has it, so that the reports of
    earlier releases stay readable.

    Attributes:
        range_rule: How the annotated range was understood.
        num_video_frames: Frames that were decoded or counted in the video.
        num_distinct_frames: How many different frames the clip shows.
        notes: Signs that the video is damaged, a line each.
        num_left_hand_frames: Frames of the clip with landmarks of the left hand.
        num_right_hand_frames: The same of the right hand.
        num_pose_frames: The same of the upper body.

    Raises:
        ValueError: If a value cannot be one of these.
    """

    range_rule: RangeRule
    num_video_frames: int
    num_distinct_frames: int
    notes: tuple[str, ...] = ()
    num_left_hand_frames: int = 0
    num_right_hand_frames: int = 0
    num_pose_frames: int = 0

    def __post_init__(self) -> None:
        """Reject what no clip can have; a report is a file that anybody can edit."""
        if self.range_rule not in RANGE_RULES:
            raise ValueError(
                f"range_rule must be one of {', '.join(RANGE_RULES)}, "
                f"got {self.range_rule!r}"
            )
        for name in ("num_video_frames", "num_distinct_frames"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value < 2**31:
                raise ValueError(f"{name} must be at least 1, got {shown(value)}")
        for name in LANDMARK_FACTS:
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < 2**31:
                raise ValueError(f"{name} must be at least 0, got {shown(value)}")
        is_text = [isinstance(note, str) for note in self.notes]
        if not isinstance(self.notes, tuple) or not all(is_text):
            raise ValueError(f"notes must be lines of text, got {self.notes!r}")

    @classmethod
    def of(
        cls, source: ClipSource, notes: Sequence[str], seen: Sequence[int] = (0, 0, 0)
    ) -> "ClipFacts":
        """Returns the facts of a clip that was just decoded.

        Args:
            source: Where its frames lie in the video.
            notes: Signs that the video is damaged.
            seen: In how many frames there are landmarks of left hand, right hand and
                upper body.
        """
        return cls(
            range_rule=source.sign.rule,
            num_video_frames=source.num_video_frames,
            num_distinct_frames=source.num_distinct_frames,
            notes=tuple(notes),
            **dict(zip(LANDMARK_FACTS, seen)),
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values, without those that are the default."""
        return {
            field.name: list(value) if isinstance(value, tuple) else value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "ClipFacts":
        """Returns the facts that `to_json` wrote, perhaps among other values.

        Raises:
            TypeError: If one is missing.
            ValueError: If one is no such value.
        """
        known: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            if field.name in values:
                value = values[field.name]
                known[field.name] = tuple(value) if isinstance(value, list) else value
        return cls(**known)


def frame_times_us(
    sign: SignRange,
    num_frames: int,
    video_fps: float,
    sign_seconds: tuple[float, float] | None = None,
) -> tuple[int, ...]:
    """Returns the instants at which a clip samples its sign.

    They are the ideal instants, not those of the frames nearest to them, so that they
    grow strictly even where a short video repeats a frame: MediaSequence asks for that.

    Args:
        sign: The frames that hold the sign.
        num_frames: Frames in the clip, T.
        video_fps: Frames per second of the video.
        sign_seconds: When the first and the last frame of the sign are shown, if the
            rate varies.

    Returns:
        T times in microseconds from the start of the video, strictly increasing.
    """
    first, last = sign_seconds or (sign.start, sign.stop - 1)
    unit = 1.0 if sign_seconds else video_fps
    if num_frames == 1:
        positions: Sequence[float] = [(first + last) / 2]
    else:
        step = (last - first) / (num_frames - 1)
        positions = [first + k * step for k in range(num_frames)]
    times: list[int] = []
    for position in positions:
        time_us = round(position / unit * 1e6)
        # One frame alone gives the same instant T times: then a microsecond each.
        times.append(max(time_us, times[-1] + 1) if times else time_us)
    return tuple(times)
