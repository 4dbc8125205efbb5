"""Drawn signers, for tests."""

import numpy as np

from wlasl_tfrecord.synthetic import figure, poses


def draw_still(signer, gloss, times, motion):
    """Draws frames without noise and sway, uint8 [N, H, W, 3]."""
    background = figure.draw_background(signer)
    drawn = [
        figure.draw_frame(signer, poses.pose_at(gloss, time, motion), background)
        for time in times
    ]
    return np.stack(drawn)
