"""The tables of a comparison of variants."""

from benchmarks import recipe_table


def made_row(
    variant, seed, ranks, *, fold=None, num_folds=0, shuffled=None, copies=None
):
    return {
        "variant": variant,
        "seed": seed,
        "fold": fold,
        "num_folds": num_folds,
        "ranks": ranks,
        "shuffled_ranks": ranks if shuffled is None else shuffled,
        "is_signer_seen": [True] * (len(ranks) - 1) + [False],
        "is_copy": [False] * len(ranks) if copies is None else copies,
        "seconds": 90.0,
    }


def test_the_table_has_intervals_and_paired_differences():
    # The first is right in clips 0 to 3, the second in 0 to 7 of ten, with both seeds.
    right_4, right_8 = [0] * 4 + [7] * 6, [0] * 8 + [2, 9]
    rows = [
        made_row("plain", 0, right_4),
        made_row("better", 0, right_8, shuffled=[1] * 10),
        made_row("plain", 1, right_4),
        made_row("better", 1, right_8, shuffled=[1] * 10),
    ]
    lines = recipe_table.table(recipe_table.pooled(rows, 0)).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[2] == [
        "plain",
        # Wilson's interval of 4 of 10, and not of 20, although there are two seeds.
        "40.0 (17 to 69): 40.0, 40.0",
        "40.0 (17 to 69)",
        "44.4 (19 to 73) of 9",
        "0.0 (0 to 79) of 1",
        "+0.0 (+0 to +0)",
        "",
        "",
        "1.5",
    ]
    assert cells[3] == [
        "better",
        "80.0 (49 to 94): 80.0, 80.0",
        "90.0 (60 to 98)",
        "88.9 (57 to 98) of 9",
        "0.0 (0 to 79) of 1",
        # The mean of eight ones and two zeros, 1.96 standard errors (0.133) around it.
        "+80.0 (+54 to +106)",
        "+40.0 (+8 to +72)",
        # Four clips that only one recognises: 2 / 2**4, of each seed.
        "0.12, 0.12",
        "1.5",
    ]


def test_copies_of_clips_of_train_are_left_out():
    copies = [True, False, False, False]
    judged = recipe_table.pooled([made_row("plain", 0, [0, 1, 1, 1], copies=copies)], 0)
    assert judged["plain"].ranks.tolist() == [[1, 1, 1]]
    assert judged["plain"].is_signer_seen.tolist() == [True, True, False]


def test_only_whole_seeds_count_and_folds_are_put_in_order():
    rows = [
        made_row("plain", 3, [3, 4], fold=1, num_folds=2),
        made_row("plain", 3, [1, 2], fold=0, num_folds=2),
        made_row("plain", 5, [9, 9], fold=0, num_folds=2),
        made_row("other", 5, [9, 9], fold=0, num_folds=2),
        made_row("plain", 3, [8, 8]),
    ]
    judged = recipe_table.pooled(rows, 2)
    assert list(judged) == ["plain"]
    assert judged["plain"].seeds == (3,)
    assert judged["plain"].ranks.tolist() == [[1, 2, 3, 4]]


def test_variants_are_compared_by_the_seeds_that_both_have():
    rows = [
        made_row("plain", 0, [0, 0, 0, 5]),
        made_row("plain", 1, [5, 5, 5, 5]),
        made_row("other", 1, [5, 5, 5, 5]),
        made_row("third", 2, [5, 5, 5, 5]),
    ]
    plain, other, third = recipe_table.pooled(rows, 0).values()
    assert recipe_table._compared(other, plain) == ("+0.0 (+0 to +0)", "1")
    assert recipe_table._compared(third, plain) == ("", "")
