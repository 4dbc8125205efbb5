import numpy as np
import pytest

from wlasl_tfrecord.inspection.contact_sheet import (
    choose_rows,
    draw_contact_sheet,
    write_contact_sheet,
)
from wlasl_tfrecord.shard_format import shard_folder


def test_the_frames_of_a_sheet_are_those_of_the_records(tmp_path, write_folder):
    from drawn_shards import drawn_frames

    folder = shard_folder.load_folder(
        write_folder(tmp_path / "shards", height=56, width=56)
    )
    (row,) = choose_rows(folder, 1, ["train"])
    figure = draw_contact_sheet(folder, [row])
    strip = np.asarray(figure.axes[0].images[0].get_array())
    frames = drawn_frames(row.record, folder.clip.shape)
    # Twice as large on the sheet; the first and the last of five frames.
    assert np.abs(strip[:112:2, :112:2].astype(int) - frames[0]).mean() < 3
    last = strip[:112:2, 4 * 116 : 4 * 116 + 112 : 2].astype(int)
    assert np.abs(last - frames[-1]).mean() < 3


@pytest.mark.parametrize(("width", "height"), [(5000, 1), (1, 5000)])
def test_frames_of_any_shape_make_a_sheet_of_a_usual_size(
    tmp_path, write_folder, width, height
):
    directory = write_folder(tmp_path / "shards", width=width, height=height)
    folder = shard_folder.load_folder(directory)
    figure = draw_contact_sheet(folder, choose_rows(folder, 1))
    strip = np.asarray(figure.axes[0].images[0].get_array())
    # Of five frames.
    assert strip.shape[0] == 112
    assert 5 <= strip.shape[1] <= 5 * 448


def test_rows_are_spread_over_splits_and_glosses(tmp_path, write_folder):
    folder = shard_folder.load_folder(
        write_folder(tmp_path / "shards", {"train": 9, "val": 2, "test": 3})
    )
    rows = choose_rows(folder, 7)
    assert [row.split for row in rows] == ["train"] * 3 + ["val"] * 2 + ["test"] * 2
    assert [row.gloss for row in rows[:3]] == ["book", "drink", "computer"]
    assert choose_rows(folder, 7) == rows
    assert len(choose_rows(folder, 99)) == 14
    with pytest.raises(ValueError, match="num_clips must be at least 1, got 0"):
        choose_rows(folder, 0)


def test_odd_names_are_drawn(tmp_path, write_folder):
    glosses = ("Größe\tzwei", "$x^2$", "手話" * 50)
    directory = write_folder(tmp_path / "shards", {"train": 3}, glosses=glosses)
    folder = shard_folder.load_folder(directory)
    rows = choose_rows(folder, 3)
    figure = draw_contact_sheet(folder, rows)
    texts = {text.get_text() for text in figure.texts}
    assert {"Größe?zwei", r"\$x^2\$"} <= texts
    # No font that is always there has the third: that is no warning.
    write_contact_sheet(folder, rows, tmp_path / "sheet.png")
