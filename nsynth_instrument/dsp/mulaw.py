"""The 8-bit mu-law of the NSynth paper: 256 classes, exactly as its published code has them.

q = floor(128 sign(x) ln(1 + 255 |x|) / ln 256) in -128..127; a class is q + 128; a network hears q / 128.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

CLASSES = 256
"""Values of a quantised sample."""

ZERO = 128
"""The class of silence."""

Floats = npt.NDArray[np.float32]
Classes = npt.NDArray[np.uint8]


def encode(audio: npt.NDArray[Any]) -> Classes:
    """Classes 0..255 of audio in -1..1, any shape; what lies outside is clipped.

    The original lets x = 1.0 become class 256, which no output can say.
    """
    x = np.asarray(audio, np.float32)
    y = np.sign(x) * np.log(1 + np.float32(255) * np.abs(x)) / np.float32(np.log(256))
    return (np.clip(np.floor(y * np.float32(128)), -128, 127) + ZERO).astype(np.uint8)


def companded(classes: npt.NDArray[np.integer[Any]]) -> Floats:
    """What the networks hear: q / 128 in [-1, 127/128], same shape."""
    return (classes.astype(np.float32) - np.float32(ZERO)) / np.float32(128)


def decode(classes: npt.NDArray[np.integer[Any]]) -> Floats:
    """Audio of classes, same shape: the middle of each step, but exactly 0 for the class of silence."""
    return np.asarray(_table()[classes])


@cache
def _table() -> Floats:
    y = (np.arange(CLASSES) - ZERO + 0.5) * 2 / 256
    out = np.sign(y) / 255 * (256.0 ** np.abs(y) - 1)
    out[ZERO] = 0
    return out.astype(np.float32)
