import numpy as np
import pytest
from drawn_signers import draw_still

from wlasl_tfrecord.synthetic import appearance
from wlasl_tfrecord.synthetic.poses import Motion

MIRRORS = (("rise", "fall"), ("open", "close"))


@pytest.mark.parametrize("pair", MIRRORS)
def test_a_mirrored_sign_is_the_other_one_backwards(pair):
    one, other = pair
    signer = appearance.draw_signers(1, seed=3)[0]
    forwards = Motion(lead_in=0.2, lead_out=0.3, amplitude=0.9, offset_x=0.1)
    backwards = Motion(lead_in=0.3, lead_out=0.2, amplitude=0.9, offset_x=0.1)
    times = np.linspace(0, 1, 9)
    frames = draw_still(signer, one, times, forwards)
    reversed_frames = draw_still(signer, other, times[::-1], backwards)
    # Rounding moves an edge by less than a pixel.
    assert np.abs(frames.astype(int) - reversed_frames).mean() < 0.05
    in_order = draw_still(signer, other, times, backwards)
    assert np.abs(frames.astype(int) - in_order).mean() > 1
