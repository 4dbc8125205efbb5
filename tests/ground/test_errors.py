"""Errors: the kinds of failures of a video, and how they are printed."""

import pickle

import pytest

from wlasl_tfrecord.errors import VIDEO_FAILURES, VideoError


@pytest.mark.parametrize("kind", VIDEO_FAILURES)
def test_a_failure_of_a_video_keeps_its_kind_apart_from_its_text(kind):
    error = VideoError(kind, "take: 2: it is cut off", name="a: b.mp4")
    assert error.kind == kind
    assert error.reason == f"{kind}: take: 2: it is cut off"
    assert str(error) == f"a: b.mp4: {kind}: take: 2: it is cut off"
    again = pickle.loads(pickle.dumps(error))
    assert (again.kind, str(again)) == (kind, str(error))


def test_a_failure_of_no_known_kind_is_a_defect():
    with pytest.raises(ValueError, match="no failure 'odd'; known: unreadable, too sh"):
        VideoError("odd", "x")  # pyright: ignore[reportArgumentType]
