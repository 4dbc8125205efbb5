"""The tables of benchmarks/recipe.py: shares with intervals, paired differences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.evaluation.intervals import PairedDifference, wilson_interval

__all__ = ["Judged", "pooled", "table"]

_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the runs of one variant make of the same clips.

    Attributes:
        seeds: Seeds of the runs, S.
        ranks: int64 [S, N], number of glosses that each found more probable than the
            truth.
        shuffled_ranks: int64 [S, N], the same with the frames shuffled.
        is_signer_seen: bool [N].
        seconds: Time of a training, the mean.
    """

    seeds: tuple[int, ...]
    ranks: NDArray[np.int64]
    shuffled_ranks: NDArray[np.int64]
    is_signer_seen: NDArray[np.bool_]
    seconds: float


def pooled(rows: Sequence[Mapping[str, Any]], num_folds: int) -> dict[str, Judged]:
    """Puts rows of the same variant together, and the folds of the same seed.

    Args:
        rows: The results.
        num_folds: Which rows: those of so many folds, or 0 for val. A seed of which a
            fold is missing does not count. Clips that are copies of clips of train are
            left out.

    Returns:
        By variant, in the order of the rows.
    """
    found: dict[str, dict[int, list[Mapping[str, Any]]]] = {}
    for row in rows:
        if row["num_folds"] == num_folds:
            found.setdefault(row["variant"], {}).setdefault(row["seed"], []).append(row)
    judged = {}
    for name, by_seed in found.items():
        whole = {
            seed: sorted(runs, key=lambda run: run["fold"] or 0)
            for seed, runs in sorted(by_seed.items())
            if len(runs) == max(1, num_folds)
        }
        if not whole:
            continue

        def values(key: str, whole: Any = whole) -> NDArray[Any]:
            return np.array(
                [[v for run in runs for v in run[key]] for runs in whole.values()]
            )

        kept = ~values("is_copy")[0]
        judged[name] = Judged(
            seeds=tuple(whole),
            ranks=values("ranks")[:, kept],
            shuffled_ranks=values("shuffled_ranks")[:, kept],
            is_signer_seen=values("is_signer_seen")[0][kept],
            seconds=float(
                np.mean([run["seconds"] for r in whole.values() for run in r])
            ),
        )
    return judged


def table(variants: Mapping[str, Judged]) -> str:
    """Writes the comparison, in per cent; the others are compared with the first."""
    lines = [
        "| variant | top-1, by seed | top-5 | signers seen | not seen | lost by "
        "shuffling | top-1 against the first | p by seed | minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    first = next(iter(variants.values()))
    for name, one in variants.items():
        right = one.ranks == 0
        by_seed = ", ".join(f"{100 * share:.1f}" for share in right.mean(axis=1))
        lost = right.astype(float) - (one.shuffled_ranks == 0)
        seen = one.is_signer_seen
        cells = [
            name,
            f"{_share(right)}: {by_seed}",
            _share(one.ranks < 5),
            f"{_share(right[:, seen])} of {seen.sum()}" if seen.any() else "",
            f"{_share(right[:, ~seen])} of {(~seen).sum()}" if not seen.all() else "",
            _mean(lost.mean(axis=0)),
            *(_compared(one, first) if one is not first else ("", "")),
            f"{one.seconds / 60:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(hits: NDArray[np.bool_]) -> str:
    """Writes the share of hits [S, N] with its interval; each clip counts once."""
    share = float(hits.mean())
    low, high = wilson_interval(share, hits.shape[1])
    return f"{100 * share:.1f} ({100 * low:.0f} to {100 * high:.0f})"


def _mean(values: NDArray[np.float64]) -> str:
    """Writes the mean of values of clips [N] with its 95 % interval."""
    deviation = values.std(ddof=1) if len(values) > 1 else math.nan
    half = _Z * float(deviation) / math.sqrt(len(values))
    mean = float(values.mean())
    low, high = 100 * (mean - half), 100 * (mean + half)
    return f"{100 * mean:+.1f} ({low:+.0f} to {high:+.0f})"


def _compared(one: Judged, first: Judged) -> tuple[str, str]:
    """Writes the mean difference over the seeds that both have, and each seed's p."""
    seeds = [seed for seed in one.seeds if seed in first.seeds]
    if not seeds or one.ranks.shape[1] != first.ranks.shape[1]:
        return "", ""
    ours = one.ranks[[one.seeds.index(seed) for seed in seeds]] == 0
    theirs = first.ranks[[first.seeds.index(seed) for seed in seeds]] == 0
    p_values = [
        PairedDifference(
            num_clips=len(a),
            only_first=int((a & ~b).sum()),
            only_second=int((~a & b).sum()),
        ).p_value
        for a, b in zip(ours, theirs)
    ]
    difference = ours.mean(axis=0) - theirs.mean(axis=0)
    return _mean(difference), ", ".join(f"{p:.2g}" for p in p_values)
