"""A picture of the worst confusions: the frames of what was signed and of the other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wlasl_tfrecord.evaluation.report import EvaluationReport
from wlasl_tfrecord.figures import drawn_text, new_figure, png_bytes
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records
from wlasl_tfrecord.shard_format.stored_clip import read_clip

__all__ = ["confused_frames_png"]

_MAX_PAIRS = 6
_FRAMES_PER_ROW = 8
_FRAME_PIXELS = 112
# Wider ones are squeezed: a clip of others may be a million times as wide as high.
_MAX_STRIP_PIXELS = _FRAMES_PER_ROW * 4 * _FRAME_PIXELS
_ROW_PIXELS = 122
_TEXT_PIXELS = 240


def confused_frames_png(folder: ShardFolder, report: EvaluationReport) -> bytes | None:
    """Draws, for the most frequent confusions, a clip of each of the two glosses.

    The clip of what was signed is one that the model mistook, the most confident
    mistake. Below it is a clip of the gloss that it took it for: one that it recognises
    in the same split, or else one of train.

    Args:
        folder: The shard folder that was evaluated.
        report: Its report.

    Returns:
        A PNG image; None if nothing was confused.

    Raises:
        ShardFolderError: If a table of records is damaged.
        RecordError: If a record that is to be drawn is damaged.
    """
    pairs = report.confused_labels(_MAX_PAIRS)
    if not pairs:
        return None
    rows: list[tuple[str, NDArray[np.uint8]]] = []
    for truth, said in pairs:
        rows.extend(_pair_rows(folder, report, truth, said))
    return _draw(rows)


def _pair_rows(
    folder: ShardFolder, report: EvaluationReport, truth: int, said: int
) -> list[tuple[str, NDArray[np.uint8]]]:
    """Returns the text and the frames of a mistaken clip, and of the other gloss."""
    scores, glosses = report.scores, report.glosses
    mistaken = (scores.labels == truth) & (scores.predictions == said)
    sureness = np.where(mistaken, report.probabilities[:, said], -1.0)
    at = int(np.argmax(sureness))
    count, total = report.confusion[truth, said], report.confusion[truth].sum()
    text = (
        f"{drawn_text(glosses[truth], 24)}\n"
        f"taken for {drawn_text(glosses[said], 18)}\n"
        f"{count} of {total} clips; here {sureness[at]:.0%} sure\n"
        f"{drawn_text(report.video_ids[at], 28)}"
    )
    record = int(scores.records[at])
    rows = [(text, read_clip(folder, report.split, record))]
    other = _example(folder, report, said)
    if other is not None:
        split, record, video_id = other
        text = (
            f"{drawn_text(glosses[said], 24)}\n"
            f"for comparison, from {split}\n{drawn_text(video_id, 28)}"
        )
        rows.append((text, read_clip(folder, split, record)))
    return rows


def _example(
    folder: ShardFolder, report: EvaluationReport, label: int
) -> tuple[str, int, str] | None:
    """Returns split, record and name of a good clip of a gloss; None without any."""
    scores = report.scores
    is_right = (scores.labels == label) & (scores.predictions == label)
    if is_right.any():
        sureness = np.where(is_right, report.probabilities[:, label], -1.0)
        at = int(np.argmax(sureness))
        return report.split, int(scores.records[at]), report.video_ids[at]
    for split in ("train", report.split):
        if split in folder.splits:
            table = load_records(folder, split)
            found = np.flatnonzero(table.labels == label)
            if len(found):
                return split, int(found[0]), table.video_ids[found[0]]
    return None


def _draw(rows: Sequence[tuple[str, NDArray[np.uint8]]]) -> bytes:
    """Draws a text and a strip of frames in each row."""
    strips = [_strip(clip) for _, clip in rows]
    width = _TEXT_PIXELS + max(map(_drawn_width, strips))
    height = len(rows) * _ROW_PIXELS
    figure = new_figure(width / 100, height / 100)
    figure.set_layout_engine("none")
    for number, ((text, _), strip) in enumerate(zip(rows, strips)):
        bottom = 1 - (number + 1) * _ROW_PIXELS / height
        box = (
            _TEXT_PIXELS / width,
            bottom,
            _drawn_width(strip) / width,
            _FRAME_PIXELS / height,
        )
        plot = figure.add_axes(box)
        plot.imshow(strip, aspect="auto", interpolation="antialiased")
        plot.axis("off")
        first, _, rest = text.partition("\n")
        top = bottom + _FRAME_PIXELS / height
        left = 10 / width
        figure.text(left, top - 4 / height, first, va="top", size=12, weight="bold")
        figure.text(left, top - 28 / height, rest, va="top", size=9, linespacing=1.5)
    return png_bytes(figure)


def _strip(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lays some frames of a clip side by side, first and last among them."""
    count = min(_FRAMES_PER_ROW, len(clip))
    chosen = clip[np.linspace(0, len(clip) - 1, count).round().astype(np.intp)]
    # White between the frames, so that their edges show.
    gap = max(1, clip.shape[2] // 50)
    framed = np.pad(chosen, ((0, 0), (0, 0), (0, gap), (0, 0)), constant_values=255)
    return np.concatenate(list(framed), axis=1)


def _drawn_width(strip: NDArray[np.uint8]) -> float:
    """Returns how many pixels wide a strip is drawn."""
    width = strip.shape[1] * _FRAME_PIXELS / strip.shape[0]
    return min(max(width, 1.0), _MAX_STRIP_PIXELS)
