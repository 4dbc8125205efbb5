"""The options that decide the bytes of a shard folder."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.shard_format.clips import FRAMINGS, ClipSpec, Framing
from wlasl_tfrecord.shard_format.codecs import (
    CODECS,
    DEFAULT_CODEC,
    PLAIN_CODEC,
    Codec,
    codec_facts,
)
from wlasl_tfrecord.shard_format.landmarks import LANDMARK_SOURCE, landmark_bytes

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
        landmark_models: A folder with the networks that find landmarks, to store those
            too; None to store none. The networks are compared with their checksums, so
            which folder it is decides nothing.

    Raises:
        ValueError: If a value can never be right.
    """

    clip: ClipSpec = dataclasses.field(default_factory=ClipSpec)
    framing: Framing = "center"
    codec: Codec = DEFAULT_CODEC
    jpeg_quality: int = 95
    seed: int = 0
    shard_mib: int = 128
    drop_leaks: bool = False
    subset: int | None = None
    split_by: str = "annotations"
    landmark_models: str | None = None

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
        side = max(self.clip.height, self.clip.width)
        most = codec_facts(self.codec).max_side
        if most is not None and side > most:
            raise ValueError(
                f"a {self.codec} image has at most {most:,} pixels a side, got "
                f"{side:,}; use --codec {PLAIN_CODEC}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Names all that decides the bytes, in plain JSON values."""
        values = dataclasses.asdict(self)
        values.update(values.pop("clip"))
        if values.pop("landmark_models") is not None:
            values["landmarks"] = LANDMARK_SOURCE
        if not codec_facts(self.codec).has_quality:
            # It decides nothing, so another value of it does not make another folder.
            del values["jpeg_quality"]
        return values


def record_bytes(options: ShardOptions) -> int:
    """Estimates the bytes of a record, its header and footer of 16 bytes included.

    Exact to a few hundred bytes for raw; for the others an average of real clips.
    """
    per_value = codec_facts(options.codec).bytes_per_value
    num_bytes = round(options.clip.num_bytes * per_value) + 1200
    if options.landmark_models is not None:
        num_bytes += landmark_bytes(options.clip.num_frames)
    return num_bytes
