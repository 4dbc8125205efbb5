"""A contact sheet: clips in rows, for a person to check."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wlasl_tfrecord.files import written_whole
from wlasl_tfrecord.shard_format.layout import SPLITS
from wlasl_tfrecord.shard_format.shard_folder import ShardFolder, load_records
from wlasl_tfrecord.shard_format.stored_clip import read_clip
from wlasl_tfrecord.video.sampling import evenly_spaced

__all__ = ["SheetRow", "choose_rows", "draw_contact_sheet", "write_contact_sheet"]

_DPI = 100
_FRAME_HEIGHT = 112
# Wider ones are squeezed: a clip of others may be a million times as wide as high.
_MAX_FRAME_WIDTH = 4 * _FRAME_HEIGHT
# Beside the frames, for the gloss and what else is known of the clip.
_TEXT_WIDTH = 250
_GAP = 6
_FRAMES_PER_ROW = 10


@dataclass(frozen=True, kw_only=True)
class SheetRow:
    """One clip of the sheet.

    Attributes:
        split: Its split.
        record: Its position in the table of records.
        video_id: Its id.
        gloss: The word.
        label: The word's index.
        signer_id: Who signs; -1 if unknown.
        num_distinct_frames: How many of its frames differ.
    """

    split: str
    record: int
    video_id: str
    gloss: str
    label: int
    signer_id: int
    num_distinct_frames: int


def choose_rows(
    folder: ShardFolder, num_clips: int, splits: Sequence[str] | None = None
) -> list[SheetRow]:
    """Chooses clips that show much of a folder: spread over splits and glosses.

    Args:
        folder: The folder.
        num_clips: How many rows at most.
        splits: Which splits; all by default.

    Returns:
        Rows by split, then label; the same ones for the same folder.

    Raises:
        ShardFolderError: If the folder has no such split.
        ValueError: If `num_clips` is below 1.
    """
    if num_clips < 1:
        raise ValueError(f"num_clips must be at least 1, got {num_clips}")
    rows: list[SheetRow] = []
    # The smallest first: the others take the rows that it cannot fill.
    splits = sorted(folder.splits if splits is None else splits, key=folder.num_clips)
    for done, split in enumerate(splits):
        records = load_records(folder, split)
        # The rows that are left, shared among the splits that are left.
        share = (num_clips - len(rows)) // (len(splits) - done)
        by_label = np.argsort(records.labels, kind="stable")
        count = min(share, len(by_label))
        chosen = by_label[np.arange(count) * len(by_label) // max(1, count)]
        rows.extend(
            SheetRow(
                split=split,
                record=int(k),
                video_id=records.video_ids[k],
                gloss=folder.glosses[records.labels[k]],
                label=int(records.labels[k]),
                signer_id=int(records.signer_ids[k]),
                num_distinct_frames=int(records.num_distinct_frames[k]),
            )
            for k in chosen
        )
    return sorted(rows, key=lambda row: (SPLITS.index(row.split), row.label))


def draw_contact_sheet(folder: ShardFolder, rows: Sequence[SheetRow]) -> Figure:
    """Draws a row of frames for each clip, its first and last frame among them.

    Args:
        folder: The folder.
        rows: What `choose_rows` returned.

    Returns:
        The figure.

    Raises:
        ShardFolderError: If a table of records is damaged.
        RecordError: If a record of the sheet is damaged.
    """
    strips = [_strip(folder, row) for row in rows]
    width = _TEXT_WIDTH + max(strip.shape[1] for strip in strips)
    height = (_FRAME_HEIGHT + _GAP) * len(rows) + _GAP
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    for k, (row, strip) in enumerate(zip(rows, strips)):
        bottom = height - (k + 1) * (_FRAME_HEIGHT + _GAP)
        box = (
            _TEXT_WIDTH / width,
            bottom / height,
            strip.shape[1] / width,
            _FRAME_HEIGHT / height,
        )
        axes = figure.add_axes(box)
        axes.imshow(strip, aspect="auto", interpolation="antialiased")
        axes.axis("off")
        middle = (bottom + _FRAME_HEIGHT / 2) / height
        signer = "unknown" if row.signer_id < 0 else str(row.signer_id)
        details = (
            f"{_shortened(row.video_id, 32)}\n"
            f"{row.split}, label {row.label}\n"
            f"signer {signer}, {row.num_distinct_frames} distinct frames"
        )
        left = 10 / width
        figure.text(left, middle + 30 / height, _shortened(row.gloss, 20), size=13)
        figure.text(
            left, middle + 18 / height, details, size=9, va="top", linespacing=1.4
        )
    return figure


def write_contact_sheet(
    folder: ShardFolder, rows: Sequence[SheetRow], path: str | os.PathLike[str]
) -> None:
    """Writes a contact sheet as a PNG, whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    figure = draw_contact_sheet(folder, rows)
    with (
        written_whole(path, way_out="choose another place") as aside,
        warnings.catch_warnings(),
    ):
        # A word in a script that the font lacks is drawn as boxes; its id is below.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(aside, format="png")


def _strip(folder: ShardFolder, row: SheetRow) -> NDArray[np.uint8]:
    """Lays some frames of a clip side by side: uint8 [H, n * W, 3]."""
    frames = read_clip(folder, row.split, row.record)
    count = min(_FRAMES_PER_ROW, len(frames))
    chosen = frames[evenly_spaced(len(frames), count)]
    # White between the frames, so that their edges show.
    framed = np.pad(chosen, ((0, 0), (0, 0), (0, 2), (0, 0)), constant_values=255)
    strip = np.concatenate(list(framed), axis=1)
    width = round(strip.shape[1] * _FRAME_HEIGHT / strip.shape[0])
    width = min(max(width, count), count * _MAX_FRAME_WIDTH)
    resized = tf.image.resize(strip, (_FRAME_HEIGHT, width), "area")
    return tf.cast(tf.round(resized), tf.uint8).numpy()


def _shortened(text: str, length: int) -> str:
    """Shortens a text in the middle, where a path says least."""
    # Control characters cannot be drawn; Matplotlib takes a dollar for mathematics.
    text = "".join(c if c.isprintable() else "?" for c in text).replace("$", r"\$")
    if len(text) <= length:
        return text
    return f"{text[: length // 2 - 1]}…{text[-(length - length // 2) :]}"
