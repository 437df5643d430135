"""Rainbowgrams: a note as a picture, its level as light and its instantaneous frequency as colour.

Engel et al. 2017: the constant-Q transform, intensity by log magnitude, colour by the derivative of the
phase. A partial that holds still has one colour; vibrato and beating shimmer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .cqt import cqt

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

RATE = 16000
"""Hz of the audio that is pictured."""
HOP = 256
PER_OCTAVE = 40
LOW = 32.703
"""Hz, C1; the picture reaches 7.5 octaves up."""
ROWS = 300
DEPTH = 70.0
"""dB under the loudest point at which the picture is black."""
SCALE = 0.8
"""Of the windows: a little shorter, so that attacks stay sharp."""


def rainbowgram(audio: Floats) -> Picture:
    """RGB (ROWS, frames, 3) of mono audio (samples,) at RATE, a frame each HOP; high notes above."""
    turns = cqt(audio, RATE, hop=HOP, low=LOW, bins=ROWS, per_octave=PER_OCTAVE, scale=SCALE)
    level = 20 * np.log10(np.abs(turns) + 1e-7)
    light = np.clip(1 + (level - max(float(level.max()), -DEPTH)) / DEPTH, 0, 1)
    # The phase's advance from frame to frame, in turns: the instantaneous frequency, as far as a hop tells it.
    before = np.concatenate([turns[:, :1], turns[:, :-1]], axis=1)
    advance = np.angle(turns * np.conj(before)) / (2 * np.pi)
    advance[:, 0] = advance[:, 1] if advance.shape[1] > 1 else 0
    colour = 0.5 + 0.5 * np.cos(2 * np.pi * (advance[..., None] - np.array([0.0, 1 / 3, 2 / 3])))
    out: Picture = np.rint(255 * light[..., None] * colour)[::-1].astype(np.uint8)
    return out
