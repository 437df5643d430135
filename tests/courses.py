"""Courses of levels, as notes have them."""

import numpy as np

FRAMES, RELEASE = 500, 375
"""Of a note of 4 s, 125 a second."""


def falling(attack: int, fall: float, top: float = -20.0, floor: float = -100.0) -> np.ndarray:
    """dB (500,): up in `attack` frames, `fall` dB a second, let go after 3 s."""
    t = np.arange(FRAMES)
    up = -40 * np.maximum(0, 1 - t / attack)
    down = fall * np.maximum(0, t - attack) / 125 + 2.0 * np.maximum(0, t - RELEASE)
    return np.maximum(top + up - down, floor).astype(np.float32)
