"""The report of an evaluation: what a model recognises, and what it mixes up."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.evaluation.confusion import confusion_matrix
from wlasl_tfrecord.evaluation.groups import ClipGroups, groups_of
from wlasl_tfrecord.evaluation.intervals import (
    Share,
    difference_interval,
    wilson_interval,
)
from wlasl_tfrecord.evaluation.metrics import (
    TOP_K,
    ClipLogits,
    ClipScores,
    score_clips,
)
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records

__all__ = ["EvaluationReport", "report_clips"]

# How many of the best and of the worst glosses are printed.
_NUM_LISTED = 4


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """How good a model is on a split.

    Attributes:
        split: Name of the split.
        scores: Scores of each clip.
        probabilities: float32 [N, C], what the model finds in each clip; the mean over
            the views, if it saw several.
        video_ids: Names of the clips, in the order of `scores`.
        glosses: Words by label.
        confusion: int64 [C, C], clips by truth and prediction.
        groups: Signers and copies.
        num_views: How many views of each clip the model saw.
    """

    split: str
    scores: ClipScores
    probabilities: NDArray[np.float32]
    video_ids: tuple[str, ...]
    glosses: tuple[str, ...]
    confusion: NDArray[np.int64]
    groups: ClipGroups
    num_views: int = 1

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Which clips are recognised, bool [N]."""
        return self.scores.ranks == 0

    def top(self, k: int) -> float:
        """Returns the share of clips whose gloss is among the k most probable."""
        return self.scores.top(k)

    def gloss_top(self, k: int) -> dict[str, float]:
        """Returns the same for each gloss that has clips in the split."""
        labels, hits = self.scores.labels, self.scores.ranks < k
        return {
            self.glosses[label]: float(hits[labels == label].mean())
            for label in np.unique(labels)
        }

    def mean_gloss_top(self, k: int) -> float:
        """Returns the mean over glosses; a rare one counts like a frequent one."""
        return float(np.mean(list(self.gloss_top(k).values())))

    def interval(self, k: int) -> tuple[float, float]:
        """Returns the 95 % interval of `top`."""
        return wilson_interval(self.top(k), len(self.scores.labels))

    def mean_gloss_interval(self, k: int) -> tuple[float, float]:
        """Returns the 95 % interval of `mean_gloss_top`.

        A clip of a rare gloss weighs more, so the clips tell as little as fewer that
        weigh the same: the square of the number of glosses, by the sum of 1 / clips.
        """
        counts = self.confusion.sum(axis=1)
        counts = counts[counts > 0]
        num_equal_clips = len(counts) ** 2 / (1 / counts).sum()
        return wilson_interval(self.mean_gloss_top(k), num_equal_clips)

    def share(self, chosen: NDArray[np.bool_] | None = None) -> Share:
        """Counts the clips that are recognised.

        Args:
            chosen: bool [N], which clips count; by default all.
        """
        hits = self.is_right if chosen is None else self.is_right[chosen]
        return Share(num_right=int(hits.sum()), num_clips=len(hits))

    def gloss_shares(self) -> dict[str, Share]:
        """Counts the clips of each gloss that has some, the best gloss first.

        Of those that are equally good, the one with more clips says more.
        """
        labels = self.scores.labels
        shares = {
            self.glosses[label]: self.share(labels == label)
            for label in np.unique(labels)
        }
        ranked = sorted(shares.items(), key=lambda item: -item[1].num_clips)
        ranked.sort(key=lambda item: -item[1].share)
        return dict(ranked)

    def signer_shares(self) -> dict[int, Share]:
        """Counts the clips of each known signer, the one with most clips first."""
        signers, counts = np.unique(self.groups.signer_ids, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return {
            int(signer): self.share(self.groups.signer_ids == signer)
            for signer in signers[order]
            if signer >= 0
        }

    def seen_and_unseen(self) -> tuple[Share, Share]:
        """Counts the clips of signers that train has clips of, and of others."""
        is_known = self.groups.signer_ids >= 0
        is_seen = self.groups.is_signer_seen
        return self.share(is_known & is_seen), self.share(is_known & ~is_seen)

    def confused_labels(self, count: int) -> list[tuple[int, int]]:
        """Lists the pairs of labels most often mixed up: signed, recognised."""
        # Not the whole matrix: of 20,000 glosses it has 3 GB, nearly all of it zeros.
        pairs = np.argwhere(self.confusion)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        order = np.argsort(-self.confusion[tuple(pairs.T)], kind="stable")[:count]
        return [(int(truth), int(said)) for truth, said in pairs[order]]

    def confused(self, count: int = 5) -> list[tuple[str, str, int]]:
        """Lists the pairs most often mixed up: signed, recognised, clips."""
        return [
            (self.glosses[truth], self.glosses[said], int(self.confusion[truth, said]))
            for truth, said in self.confused_labels(count)
        ]

    def to_json(self) -> dict[str, Any]:
        """Returns everything as JSON values."""
        gloss_tops = {f"top{k}": self.gloss_top(k) for k in TOP_K}
        return {
            "split": self.split,
            "num_clips": len(self.scores.labels),
            "num_views": self.num_views,
            # JSON has no other word for what is no number.
            "loss": self.scores.loss if np.isfinite(self.scores.loss) else None,
            "per_clip": {f"top{k}": self.top(k) for k in TOP_K},
            "per_clip_interval": {f"top{k}": list(self.interval(k)) for k in TOP_K},
            "per_gloss_mean": {f"top{k}": self.mean_gloss_top(k) for k in TOP_K},
            "per_gloss_mean_interval": {
                f"top{k}": list(self.mean_gloss_interval(k)) for k in TOP_K
            },
            "glosses": {
                gloss: {
                    **share.to_json(),
                    **{name: shares[gloss] for name, shares in gloss_tops.items()},
                }
                for gloss, share in self.gloss_shares().items()
            },
            "signers": self._signers_json(),
            "copies_of_train": self._copies_json(),
            "confused": self.confused(20),
            "clips": self._clips_json(),
        }

    def _signers_json(self) -> dict[str, Any]:
        seen, unseen = self.seen_and_unseen()
        has_both = seen.num_clips > 0 and unseen.num_clips > 0
        return {
            "seen_in_train": seen.to_json(),
            "unseen": unseen.to_json(),
            "gap": seen.share - unseen.share if has_both else None,
            "gap_interval": (
                list(difference_interval(seen, unseen)) if has_both else None
            ),
            "each": {
                str(signer): share.to_json()
                for signer, share in self.signer_shares().items()
            },
        }

    def _copies_json(self) -> dict[str, Any] | None:
        copies = self.groups.is_copy
        if copies is None:
            return None
        return {
            "copies": self.share(copies).to_json(),
            "without_copies": self.share(~copies).to_json(),
        }

    def _clips_json(self) -> list[dict[str, Any]]:
        glosses = np.array(self.glosses)
        return [
            {
                "video_id": video_id,
                "signed": signed,
                "recognised": said,
                "rank": rank,
            }
            for video_id, signed, said, rank in zip(
                self.video_ids,
                glosses[self.scores.labels].tolist(),
                glosses[self.scores.predictions].tolist(),
                self.scores.ranks.tolist(),
            )
        ]

    def __str__(self) -> str:
        """Writes the table that bin/evaluate prints."""
        num_clips, num_glosses = len(self.scores.labels), len(self.gloss_top(1))
        views = f", mean of {self.num_views} views" if self.num_views > 1 else ""
        lines = [
            f"{self.split}: {num_clips} clips of {num_glosses} glosses, "
            f"loss {self.scores.loss:.3f}{views}",
            "                " + "".join(f"{f'top-{k}':>8}" for k in TOP_K) + "   "
            "top-1 with 95 % confidence",
            "  all clips     "
            + "".join(f"{self.top(k):8.1%}" for k in TOP_K)
            + f"   {_range(self.interval(1))}",
            "  mean of glosses"
            + "".join(f"{self.mean_gloss_top(k):8.1%}" for k in TOP_K)[1:]
            + f"   {_range(self.mean_gloss_interval(1))}",
        ]
        lines += self._group_lines()
        lines += [
            f"  {signed!r} taken for {said!r}: {count} of "
            f"{self.confusion[self.glosses.index(signed)].sum()} clips"
            for signed, said, count in self.confused(3)
        ]
        return "\n".join(lines)

    def _group_lines(self) -> list[str]:
        """Writes the lines on glosses, signers and copies that say something."""
        lines = []
        names = list(self.gloss_shares().items())
        if len(names) > 2 * _NUM_LISTED:
            lines.append(f"  best:  {_listed(names[:_NUM_LISTED])}")
            # Stable: of those that are equally bad, the one with more clips first too.
            worst = sorted(names, key=lambda item: item[1].share)[:_NUM_LISTED]
            lines.append(f"  worst: {_listed(worst)}")
        seen, unseen = self.seen_and_unseen()
        for name, share in (("in train", seen), ("not in train", unseen)):
            if share.num_clips:
                lines.append(
                    f"  signers {name}: {share.share:.1%} of {share.num_clips} clips, "
                    f"{_range(share.interval)}"
                )
        copies = self.groups.is_copy
        if copies is not None and copies.any():
            rest = self.share(~copies)
            lines.append(
                f"  without the {copies.sum()} clips whose content is in train too: "
                + (f"{rest.share:.1%}" if rest.num_clips else "none is left")
            )
        return lines


def report_clips(
    folder: ShardFolder, split: str, views: Sequence[ClipLogits]
) -> EvaluationReport:
    """Makes the report of what a model finds in the clips of a split.

    Args:
        folder: The shard folder.
        split: The split.
        views: The logits of each view of the clips.
    """
    clips = views[0]
    probabilities = np.mean([view.probabilities() for view in views], axis=0)
    if len(views) > 1:
        # The logarithm of the mean has the mean as its softmax.
        tiny = np.finfo(np.float32).tiny
        logits = np.log(np.maximum(probabilities, tiny))
        clips = dataclasses.replace(clips, logits=logits)
    scores = score_clips(clips)
    video_ids = load_records(folder, split).video_ids
    return EvaluationReport(
        split=split,
        scores=scores,
        probabilities=probabilities,
        video_ids=tuple(video_ids[record] for record in scores.records),
        glosses=folder.glosses,
        confusion=confusion_matrix(scores, folder.num_classes),
        groups=groups_of(folder, split, scores.records),
        num_views=len(views),
    )


def _listed(glosses: Sequence[tuple[str, Share]]) -> str:
    return ", ".join(
        f"{gloss!r} {share.num_right}/{share.num_clips}" for gloss, share in glosses
    )


def _range(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"
