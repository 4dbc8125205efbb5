"""The files of an evaluation: JSON, CSV, and two pictures."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from wlasl_tfrecord.evaluation.confused_frames import confused_frames_png
from wlasl_tfrecord.evaluation.confusion import ordered_confusion_png
from wlasl_tfrecord.evaluation.report import EvaluationReport
from wlasl_tfrecord.files import output_errors, write_json, write_whole
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder
from wlasl_tfrecord.text import cell_text

__all__ = ["predictions_csv", "write_report"]

_NUM_RANKED = 5


def write_report(
    report: EvaluationReport,
    folder: ShardFolder,
    out_dir: Path,
    extra: dict[str, Any] | None = None,
) -> list[Path]:
    """Writes the files of an evaluation.

    Args:
        report: What is written.
        folder: The shard folder that was evaluated; the pictures show its frames.
        out_dir: Where to; it is made.
        extra: Further keys of evaluation.json.

    Returns:
        The files: evaluation.json, predictions.csv, confusion.png, and confused.png if
        anything was confused. A confused.png of an earlier evaluation is removed.

    Raises:
        OutputError: If one cannot be written.
        ShardFolderError: If a record that is to be drawn is damaged.
    """
    title = f"{report.split}: {len(report.video_ids)} clips, {report.top(1):.1%} right"
    write_json(out_dir / "evaluation.json", {**report.to_json(), **(extra or {})})
    contents = {
        "predictions.csv": predictions_csv(report),
        "confusion.png": ordered_confusion_png(report.confusion, report.glosses, title),
        "confused.png": confused_frames_png(folder, report),
    }
    for name, content in contents.items():
        if content is None:
            with output_errors(out_dir / name, "remove it, or choose another --out"):
                (out_dir / name).unlink(missing_ok=True)
        else:
            write_whole(out_dir / name, content)
    names = ["evaluation.json", *(name for name in contents if contents[name])]
    return [out_dir / name for name in names]


def predictions_csv(report: EvaluationReport) -> bytes:
    """Returns a table with a line for each clip: the truth, and five ranked glosses.

    Texts that a spreadsheet would take for formulas begin with an apostrophe.
    """
    count = min(_NUM_RANKED, len(report.glosses))
    ranked = [f"{name}_{k}" for k in range(1, count + 1) for name in ("gloss", "prob")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video_id", "signed", "signer_id", "rank", *ranked])
    order = np.argsort(-report.probabilities, axis=1, kind="stable")[:, :count]
    for number, labels in enumerate(order):
        signer = int(report.groups.signer_ids[number])
        row = [
            cell_text(report.video_ids[number]),
            cell_text(report.glosses[report.scores.labels[number]]),
            "" if signer < 0 else signer,
            int(report.scores.ranks[number]) + 1,
        ]
        for label in labels:
            row.append(cell_text(report.glosses[label]))
            row.append(f"{report.probabilities[number, label]:.6f}")
        writer.writerow(row)
    return text.getvalue().encode()
