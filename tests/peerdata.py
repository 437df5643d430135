"""What the original and this program are both given, so that their answers can be compared: weights by name, notes, noise.

NumPy alone, and of that only what never changes between versions (RandomState), since the original runs in a Python of its own.
"""

from __future__ import annotations

import zlib

import numpy as np

WAVE, FORCED, NOTE = 1024, 160, 64000
"""Samples: of the short wave, of those generated for the golden file, of a note."""
PITCH = 57


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Float32 weights that keep a signal about as large as it is; the same for the same name everywhere."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    values = rng.random_sample(shape) * 2 - 1
    last = name.removesuffix("/ExponentialMovingAverage").rsplit("/", 1)[-1]
    if last == "moving_variance":
        values = 1 + 0.5 * values
    elif last in ("biases", "beta", "moving_mean"):
        values = 0.1 * values
    elif last != "embedding_weights":
        # Transposed convolutions are kept as (height, width, outputs, inputs).
        inputs = shape[3] if name.startswith("decoder/") and "mag" not in name else shape[2]
        values = values * np.sqrt(3 / (shape[0] * shape[1] * inputs))
    if name == "ae_bottleneck/W":
        values = values / 16  # so that codes are as large as trained ones
    return values.astype(np.float32)


def note(samples: int = NOTE) -> np.ndarray:
    """A decaying tone of many harmonics with a little noise, float32 in +-1."""
    t = np.arange(samples) / 16000
    rng = np.random.RandomState(1)
    f0 = 440 * 2 ** ((PITCH - 69) / 12)
    tone = sum(np.sin(2 * np.pi * k * f0 * t + k) / k for k in range(1, 20))
    return (0.25 * np.exp(-t) * tone + 0.01 * rng.standard_normal(samples)).clip(-1, 0.999).astype(np.float32)


def levels() -> np.ndarray:
    """Samples at which mu-law is compared: all that 16 bits can say, and as many drawn at random, large and small."""
    rng = np.random.RandomState(2)
    drawn = [rng.uniform(-1, 1, 50000), rng.uniform(-1e-3, 1e-3, 15536)]
    return np.concatenate([np.arange(-32768, 32768) / 32768, *drawn]).clip(-1, 0.9999).astype(np.float32)


def noise(samples: int) -> np.ndarray:
    """What classes are drawn by, in [0, 1)."""
    return np.random.RandomState(3).random_sample(samples).astype(np.float32)


def past(samples: int) -> np.ndarray:
    """Classes that stand for what was generated before: a note's, uint8."""
    return (np.random.RandomState(4).standard_normal(samples) * 20 + 128).clip(0, 255).astype(np.uint8)
