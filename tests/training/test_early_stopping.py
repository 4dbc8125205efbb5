"""Early stopping: which epoch is the best, and when the loss is on a plateau."""

import math

import pytest

from wlasl_tfrecord.training.early_stopping import EarlyStopping, epoch_score


def test_hits_count_before_the_loss_and_no_number_is_the_worst():
    ordered = [
        epoch_score(0.5, math.nan),
        epoch_score(0.5, 2.0),
        epoch_score(0.5, 1.0),
        epoch_score(0.6, 9.0),
    ]
    assert ordered == sorted(ordered)
    assert epoch_score(0.5, math.inf) == epoch_score(0.5, math.nan)


@pytest.mark.parametrize(("choose_by", "best"), [("top1", 1), ("last", 3)])
def test_the_validation_or_nothing_chooses_the_epoch(choose_by, best):
    epochs = [(0.5, 2.0), (0.6, 1.9), (0.5, 1.0), (0.4, 1.5)]
    scores = [
        epoch_score(top1, loss, number, choose_by)
        for number, (top1, loss) in enumerate(epochs)
    ]
    assert scores.index(max(scores)) == best


def test_a_loss_that_is_no_number_is_above_every_other():
    stopping, best, halved = EarlyStopping(), [], []
    for loss in (math.nan, 3.0, 2.0, 2.5):
        best.append(stopping.add_epoch(epoch_score(0.0, loss), loss))
        halved.append(stopping.halve_on_plateau(1))
    assert best == [True, True, True, False]
    assert stopping.lowest_loss == 2.0
    # After the first epoch, which has no loss, and the last, which has no lower one.
    assert halved == [True, False, False, True]
    assert stopping.plateau_factor == 0.25


def test_epochs_are_counted_since_the_best_and_the_lowest():
    stopping = EarlyStopping()
    counts = []
    for top1, loss in ((0.5, 3.0), (0.4, 2.0), (0.4, 2.5), (0.6, 2.6)):
        stopping.add_epoch(epoch_score(top1, loss), loss)
        counts.append((stopping.epochs_since_best, stopping.epochs_since_lowest))
    assert counts == [(0, 0), (1, 0), (2, 1), (0, 2)]


def test_a_phase_has_a_patience_of_its_own_and_the_best_of_all():
    stopping = EarlyStopping()
    for loss in (2.0, 3.0):
        stopping.add_epoch(epoch_score(0.5, loss), loss)
    stopping.halve_on_plateau(1)
    stopping.begin_phase()
    assert stopping == EarlyStopping(best=(0.5, -2.0))
    # A higher loss than before the phase is the lowest of it, and no best epoch.
    assert not stopping.add_epoch(epoch_score(0.5, 2.5), 2.5)
    assert stopping.lowest_loss == 2.5


@pytest.mark.parametrize("best", [None, [0.5, -2.0]])
def test_it_is_read_back_from_json(best):
    assert EarlyStopping(best=best).best == (best if best is None else (0.5, -2.0))
