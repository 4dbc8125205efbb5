import numpy as np

from wlasl_tfrecord.inference import ranking


def test_equal_probabilities_keep_the_order_of_labels():
    row = np.array([0.25, 0.5, 0.25], np.float32)
    assert ranking.top_glosses(row, ("a", "b", "c"), 3)[0] == ("b", "a", "c")


def test_a_row_has_a_cell_for_each_column_whatever_the_model_knows():
    cells = ranking.ranked_cells(("=1", "b"), (0.75, 0.25), 3)
    assert cells == ["'=1", "0.750000", "b", "0.250000", "", ""]
    assert len(cells) == len(ranking.ranked_columns(3))


def test_a_row_of_a_table_quotes_what_needs_it():
    assert ranking.csv_line(["a", 'b,"c"']) == 'a,"b,""c"""'
    assert ranking.csv_line(["a\nb", "c\rd"]) == '"a\nb","c\rd"'
