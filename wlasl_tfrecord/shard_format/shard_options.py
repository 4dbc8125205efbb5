"""The options that decide the bytes of a shard folder."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.shard_format.clips import FRAMINGS, ClipSpec, Framing
from wlasl_tfrecord.shard_format.codecs import (
    BYTES_PER_VALUE,
    CODECS,
    MAX_SIDES,
    Codec,
)

__all__ = [
    "ShardOptions",
    "record_bytes",
]


@dataclass(frozen=True, kw_only=True)
class ShardOptions:
    """What decides the bytes of a shard folder, besides the manifest and the videos.

    Attributes:
        clip: The shape of every clip.
        framing: How frames are made to fit.
        codec: How frames are stored.
        jpeg_quality: From 1 to 100; counts for the codec jpeg only.
        seed: Another seed gives another order of clips in the shards.
        shard_mib: About how large a shard becomes, in MiB; see `plan_shards`.
        drop_leaks: Leave out clips of train whose content is in val or test too.
        subset: How many glosses the manifest was cut to, as a record of it.
        split_by: Where the manifest's splits are from, as a record of it.

    Raises:
        ValueError: If a value can never be right.
    """

    clip: ClipSpec = dataclasses.field(default_factory=ClipSpec)
    framing: Framing = "center"
    codec: Codec = "raw"
    jpeg_quality: int = 95
    seed: int = 0
    shard_mib: int = 128
    drop_leaks: bool = False
    subset: int | None = None
    split_by: str = "annotations"

    def __post_init__(self) -> None:
        """Reject what no folder can be written with."""
        for name, known in (("framing", FRAMINGS), ("codec", CODECS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, "
                    f"got {getattr(self, name)!r}"
                )
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(
                f"jpeg_quality must be from 1 to 100, got {self.jpeg_quality}"
            )
        if self.shard_mib < 1:
            raise ValueError(f"shard_mib must be at least 1, got {self.shard_mib}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be from 0 to 2**63 - 1, got {self.seed}")
        sides = max(self.clip.height, self.clip.width)
        most = MAX_SIDES.get(self.codec, sides)
        if sides > most:
            raise ValueError(
                f"a {self.codec} image has at most {most:,} pixels a side, got "
                f"{sides:,}; use --codec raw"
            )
        # A record is one proto, and no proto may be larger.
        if self.clip.num_bytes >= 2**31:
            raise ValueError(
                f"a clip of {self.clip.num_frames} frames of {self.clip.height}x"
                f"{self.clip.width} has {self.clip.num_bytes} bytes, a record holds "
                "less than 2 GiB; ask for fewer or smaller frames"
            )

    def to_dict(self) -> dict[str, Any]:
        """Names all that decides the bytes, in plain JSON values."""
        values = dataclasses.asdict(self)
        values.update(values.pop("clip"))
        if self.codec != "jpeg":
            # It decides nothing, so that another value of it is no other folder.
            del values["jpeg_quality"]
        return values


def record_bytes(options: ShardOptions) -> int:
    """Estimates the bytes of a record, the frame of 16 bytes included.

    Exact to a few hundred bytes for raw; for the others an average of real clips.
    """
    return round(options.clip.num_bytes * BYTES_PER_VALUE[options.codec]) + 1200
