import numpy as np

from wlasl_tfrecord.synthetic import poses
from wlasl_tfrecord.synthetic.poses import Motion


def test_every_sign_is_static_or_dynamic():
    assert set(poses.STATIC_SIGNS) | set(poses.DYNAMIC_SIGNS) == set(poses.SIGNS)
    assert len(poses.SIGNS) == 8
    for gloss in poses.STATIC_SIGNS:
        first, last = (poses.pose_at(gloss, time, Motion()) for time in (0.3, 0.7))
        assert first == last
    for gloss in poses.DYNAMIC_SIGNS:
        first, last = (poses.pose_at(gloss, time, Motion()) for time in (0.3, 0.7))
        # At least half a head: a movement that shows at 64 pixels.
        assert (
            np.hypot(first.right.x - last.right.x, first.right.y - last.right.y) > 0.5
        )
