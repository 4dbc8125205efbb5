"""Scores of logits: ties, what is not a number, and the loss."""

import keras
import numpy as np
import pytest

from wlasl_tfrecord.evaluation.metrics import ClipLogits, score_clips


def clips_of(labels, logits):
    return ClipLogits(
        records=np.arange(len(labels)),
        labels=np.array(labels),
        logits=np.array(logits, np.float32),
    )


def test_the_rank_is_the_number_of_classes_more_probable():
    scores = score_clips(clips_of([0, 1, 2], [[3, 2, 1]] * 3))
    assert scores.ranks.tolist() == [0, 1, 2]
    assert scores.predictions.tolist() == [0, 0, 0]
    assert scores.top(1) == pytest.approx(1 / 3)


def test_of_equals_the_first_comes_first():
    scores = score_clips(clips_of([0, 1, 2], [[1, 1, 1]] * 3))
    assert scores.ranks.tolist() == [0, 1, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_clip_with_a_logit_that_is_no_number_is_never_right(bad):
    scores = score_clips(clips_of([0, 0], [[5, 1, 0], [bad, 1, 0]]))
    assert scores.ranks.tolist() == [0, 3]


def test_the_loss_is_kerass_for_large_logits_too():
    logits = np.random.default_rng(0).normal(0, 300, (7, 5)).astype(np.float32)
    labels = np.arange(7) % 5
    expected = keras.losses.sparse_categorical_crossentropy(
        labels, logits, from_logits=True
    )
    found = score_clips(clips_of(labels, logits)).losses
    assert found == pytest.approx(np.asarray(expected), rel=1e-5)


def test_probabilities_are_the_softmax():
    clips = clips_of([0, 0], [[1000.0, 1000.0, 0.0], [0.0, np.log(2), 0.0]])
    assert clips.probabilities() == pytest.approx(
        np.array([[0.5, 0.5, 0], [0.25, 0.5, 0.25]]), abs=1e-6
    )
