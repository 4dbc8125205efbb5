"""The report of a shard folder: what became of every instance, with numbers."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wlasl_tfrecord.shard_format.clips import LANDMARK_FACTS
from wlasl_tfrecord.shard_format.layout import (
    FAILURE_COLUMNS,
    FAILURES_FILE,
    FORMAT_VERSION,
    LANDMARKS_VERSION,
    REPORT_FILE,
    SPLITS,
)
from wlasl_tfrecord.shard_format.shard_folder import glosses_without
from wlasl_tfrecord.shard_format.shard_options import ShardOptions
from wlasl_tfrecord.sharding.coverage import (
    COVERED_SPLITS,
    coverage_lines,
    first_of,
    lost_clips_lines,
)
from wlasl_tfrecord.sharding.outcomes import Outcome
from wlasl_tfrecord.text import cell_text, text_of

__all__ = [
    "ShardReport",
    "report_files",
]


@dataclass(frozen=True, kw_only=True)
class ShardReport:
    """What is in a shard folder, and what is not.

    Attributes:
        out: The folder.
        options: What it was written with.
        glosses: The words, by label.
        outcomes: One for every instance of the manifest, in its order.
        fingerprints: Shard -> hash of all that decided its bytes.
        num_shards_written: How many shards this run wrote; the others were there.
        held: The ids of the clips that the folder held before the run.
        src: What paths are shown relative to; as they are if it is None.
    """

    out: str
    options: ShardOptions
    glosses: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    fingerprints: Mapping[str, str]
    num_shards_written: int
    held: frozenset[str] = frozenset()
    src: str | None = None

    @property
    def num_written(self) -> int:
        """How many clips the folder holds."""
        return sum(outcome.kind == "written" for outcome in self.outcomes)

    @property
    def num_failed(self) -> int:
        """How many videos are there and gave no clip."""
        return sum(outcome.is_failure for outcome in self.outcomes)

    @property
    def splits(self) -> dict[str, Counter[str]]:
        """Counts, for each split, instances, written, missing, failed and so on."""
        counts = {split: Counter[str]() for split in SPLITS}
        for outcome in self.outcomes:
            split = counts[outcome.instance.split]
            split["instances"] += 1
            split[_column(outcome)] += 1
            if outcome.facts is not None:
                distinct = outcome.facts.num_distinct_frames
                split["repeated frames"] += distinct < self.options.clip.num_frames
                split["maybe damaged"] += bool(outcome.facts.notes)
        return counts

    @property
    def leaks(self) -> tuple[tuple[str, str], ...]:
        """Pairs of ids that show the same content in two splits."""
        splits = {o.instance.video_id: o.instance.split for o in self.outcomes}
        return tuple(
            sorted(
                (o.instance.video_id, other)
                for o in self.outcomes
                for other in o.same_content
                if o.instance.video_id < other and splits.get(other) != o.instance.split
            )
        )

    def glosses_without(self, split: str) -> tuple[str, ...]:
        """Names the glosses that have no clip in a split."""
        labels = {
            o.instance.label
            for o in self.outcomes
            if o.kind == "written" and o.instance.split == split
        }
        return glosses_without(self.glosses, labels)

    def table(self) -> str:
        """Returns the numbers of each split as a table, for a person."""
        columns = ["written", "missing", "failed", "repeated frames"]
        if self.options.drop_leaks:
            columns.insert(3, "left out")
        splits = self.splits
        if any(counts["maybe damaged"] for counts in splits.values()):
            columns.append("maybe damaged")
        lines = ["".join([f"{'split':<8}", *(f"{c:>17}" for c in columns)])]
        for split, counts in splits.items():
            if counts["instances"]:
                cells = "".join(f"{counts[column]:>17,}" for column in columns)
                lines.append(f"{split:<8}{cells}")
        return "\n".join(lines)

    def summary(self) -> str:
        """Returns what a person should know at the end of a run."""
        kinds = ((o.instance, _column(o)) for o in self.outcomes)
        lines = [self.table(), *coverage_lines(self.glosses, kinds, "have")]
        if self.leaks and not self.options.drop_leaks:
            pairs = [f"{one} = {other}" for one, other in self.leaks]
            lines.append(
                f"the same video under two ids, in two splits: {first_of(pairs)}; "
                "--drop-leaks leaves it out of train"
            )
        failed = Counter(o.kind for o in self.outcomes if o.is_failure)
        if failed:
            named = ", ".join(f"{n} {kind}" for kind, n in sorted(failed.items()))
            lines.append(f"failed: {named}")
        if failed["changed"]:
            lines.append(
                "changed: replaced during the run, or out of reach; run again for them"
            )
        written = {o.instance.video_id for o in self.outcomes if o.kind == "written"}
        lines += lost_clips_lines(self.held - written, "held are gone")
        noted = {
            o.instance.video_id: o.facts.notes
            for o in self.outcomes
            if o.facts is not None and o.facts.notes
        }
        if noted:
            first_id, notes = next(iter(noted.items()))
            lines.append(
                f"maybe damaged, and written all the same: {first_of(list(noted))}; "
                f"{first_id}: {notes[0]} ({REPORT_FILE} has all)"
            )
        lines += self._landmark_lines()
        num_shards = len(self.fingerprints)
        if self.num_shards_written:
            done = f"{self.num_shards_written} of {num_shards} shards written"
            if self.num_shards_written < num_shards:
                done += ", the others were there"
        else:
            done = f"everything is there, in {num_shards} shards: nothing to do"
        where = os.path.join(self.out, "")
        lines.append(f"{done}; {self.num_written:,} clips in {where}")
        lines.append(
            f"what became of each video: {where}{REPORT_FILE}, {where}{FAILURES_FILE}"
        )
        return "\n".join(lines)

    def _landmark_lines(self) -> list[str]:
        """Returns in how many frames landmarks were found, for a person."""
        facts = [outcome.facts for outcome in self.outcomes if outcome.facts]
        if self.options.landmark_models is None or not facts:
            return []
        num_frames = len(facts) * self.options.clip.num_frames
        shares = [
            f"{name.removeprefix('num_').removesuffix('_frames').replace('_', ' ')} in "
            f"{sum(getattr(one, name) for one in facts) / num_frames:.0%}"
            for name in LANDMARK_FACTS
        ]
        return [f"landmarks of {num_frames:,} frames: {', '.join(shares)}"]


def report_files(report: ShardReport) -> dict[str, bytes]:
    """Returns report.json and failures.csv, the same bytes for the same outcomes."""
    content = {
        "format_version": FORMAT_VERSION
        if report.options.landmark_models is None
        else LANDMARKS_VERSION,
        "options": report.options.to_dict(),
        "splits": {split: _counts(c) for split, c in report.splits.items()},
        "glosses": _per_gloss(report),
        "glosses_without_clips": {
            split: list(report.glosses_without(split)) for split in COVERED_SPLITS
        },
        "leaks": [list(pair) for pair in report.leaks],
        "same_content": _same_content(report),
        "shards": dict(report.fingerprints),
        "instances": [_instance(outcome, report.src) for outcome in report.outcomes],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    return {REPORT_FILE: text.encode(), FAILURES_FILE: _failures(report)}


def _column(outcome: Outcome) -> str:
    return "failed" if outcome.is_failure else outcome.kind


def _counts(counts: Counter[str]) -> dict[str, int]:
    """Names every count, those of zero too."""
    columns = ("instances", "written", "missing", "failed", "left out")
    named = {column.replace(" ", "_"): counts[column] for column in columns}
    for column in ("repeated frames", "maybe damaged"):
        named[column.replace(" ", "_")] = counts[column]
    return named


def _per_gloss(report: ShardReport) -> dict[str, dict[str, dict[str, int]]]:
    """Counts outcomes by gloss and split."""
    counts: dict[str, dict[str, Counter[str]]] = {g: {} for g in report.glosses}
    for outcome in report.outcomes:
        split = counts[outcome.instance.gloss].setdefault(
            outcome.instance.split, Counter()
        )
        split[_column(outcome)] += 1
    return {
        gloss: {s: dict(sorted(splits[s].items())) for s in SPLITS if s in splits}
        for gloss, splits in counts.items()
    }


def _same_content(report: ShardReport) -> list[list[str]]:
    """Names all instances of each video that is there more than once."""
    groups: dict[str, list[str]] = {}
    for outcome in report.outcomes:
        # An instance itself names only a few of the others.
        if outcome.same_content:
            groups.setdefault(outcome.sha256, []).append(outcome.instance.video_id)
    return sorted(sorted(group) for group in groups.values())


def _instance(outcome: Outcome, src: str | None) -> dict[str, Any]:
    """Describes one instance; what is empty is left out."""
    instance = outcome.instance
    values: dict[str, Any] = {
        "video_id": instance.video_id,
        "gloss": instance.gloss,
        "split": instance.split,
        "path": _path(outcome, src),
        "outcome": outcome.kind,
    }
    if outcome.facts is not None:
        values.update(outcome.facts.to_json())
    else:
        values["stage"] = outcome.stage
        values["reason"] = outcome.reason
    if outcome.sha256:
        values["sha256"] = outcome.sha256
    if outcome.same_content:
        values["same_content_as"] = list(outcome.same_content)
    return values


def _path(outcome: Outcome, src: str | None) -> str:
    """Shows where a video lies, alike from wherever the command was run."""
    path = outcome.instance.path
    if path is None:
        return ""
    return text_of(os.path.relpath(path, src) if src is not None else path)


def _failures(report: ShardReport) -> bytes:
    """Lists every instance that is not in the folder, one a line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FAILURE_COLUMNS)
    for outcome in report.outcomes:
        if outcome.kind != "written":
            instance = outcome.instance
            path = _path(outcome, report.src)
            names = (instance.video_id, instance.gloss, instance.split, path)
            # One line each, also where a file's name has several.
            cells = [" ".join(str(c).splitlines()) for c in names]
            cells += [outcome.stage, outcome.reason]
            writer.writerow(map(cell_text, cells))
    return text.getvalue().encode()
