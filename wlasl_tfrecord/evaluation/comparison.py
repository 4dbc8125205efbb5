"""Two models on the same clips: which is better, and may that be chance?"""

from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.errors import TrainingError
from wlasl_tfrecord.evaluation.intervals import PairedDifference
from wlasl_tfrecord.evaluation.report import EvaluationReport

__all__ = ["Comparison", "compare"]

# Chance does so in one of twenty comparisons of equal models.
_SURE = 0.05


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How two models differ on the same clips.

    Attributes:
        names: What the two are called.
        tops: The share of clips that each recognises.
        difference: How they differ.
        only_first: Videos that only the first recognises.
        only_second: Videos that only the second one does.
    """

    names: tuple[str, str]
    tops: tuple[float, float]
    difference: PairedDifference
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns everything as JSON values."""
        return {
            "runs": list(self.names),
            "top1": list(self.tops),
            **self.difference.to_json(),
            "videos_only_first": list(self.only_first),
            "videos_only_second": list(self.only_second),
        }

    def __str__(self) -> str:
        """Writes the lines that bin/evaluate prints."""
        difference = self.difference
        low, high = difference.interval
        verdict = (
            "the two differ"
            if difference.p_value < _SURE
            else "these clips cannot tell the two apart"
        )
        return "\n".join(
            [
                f"compared with {self.names[1]} on the same "
                f"{difference.num_clips} clips: top-1 {self.tops[0]:.1%} and "
                f"{self.tops[1]:.1%}",
                f"  only the first is right: {difference.only_first} clips; only the "
                f"second: {difference.only_second}",
                f"  difference {difference.difference:+.1%}, with 95 % confidence "
                f"{low:+.1%} to {high:+.1%}; p = {difference.p_value:.3g} (McNemar): "
                f"{verdict}",
            ]
        )


def compare(
    first: EvaluationReport, second: EvaluationReport, names: tuple[str, str]
) -> Comparison:
    """Compares two reports of the same split.

    Args:
        first: One report.
        second: The other.
        names: What the two models are called.

    Raises:
        TrainingError: If they are not of the same clips.
    """
    if first.video_ids != second.video_ids:
        raise TrainingError(
            f"{names[0]} was evaluated on {len(first.video_ids)} clips and {names[1]} "
            f"on {len(second.video_ids)}, or on others; only the same clips compare"
        )
    one, other = first.is_right, second.is_right
    return Comparison(
        names=names,
        tops=(first.top(1), second.top(1)),
        difference=PairedDifference(
            num_clips=len(one),
            only_first=int((one & ~other).sum()),
            only_second=int((~one & other).sum()),
        ),
        only_first=_named(first.video_ids, one & ~other),
        only_second=_named(first.video_ids, ~one & other),
    )


def _named(video_ids: tuple[str, ...], chosen: Any) -> tuple[str, ...]:
    return tuple(name for name, is_chosen in zip(video_ids, chosen) if is_chosen)
