"""Mel-frequency cepstra: a timbre as a few numbers (Davis & Mermelstein 1980)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

from .distance import spectrogram

Floats = npt.NDArray[np.float32]

RATE = 16000
SIZE, HOP = 1024, 512
BANDS = 40
KEPT = 13
DEPTH = 80.0
"""dB under the sound's loudest band; what lies lower is as good as silent."""


def mfcc(audio: Floats) -> Floats:
    """Coefficients (frames, KEPT) of mono audio (samples,) at RATE, the mean level first, in dB; a frame each 32 ms."""
    power = spectrogram(audio, SIZE, HOP) ** 2 @ _bands()
    level = 10 * np.log10(power + 1e-12)
    level = np.maximum(level, level.max() - DEPTH)
    return np.asarray(scipy.fft.dct(level, axis=1, norm="ortho")[:, :KEPT], dtype=np.float32)


def _bands() -> Floats:
    """Triangles (SIZE / 2 + 1, BANDS) even on the mel scale (O'Shaughnessy 1987), each of unit sum."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), BANDS + 2) / 2595) - 1)
    f = np.arange(SIZE // 2 + 1)[:, None] * RATE / SIZE
    rise, fall = (f - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - f) / np.diff(edges)[1:]
    shape = np.maximum(0, np.minimum(rise, fall))
    # The lowest bands are narrower than a bin: each gets at least the bin that is nearest.
    near = np.abs(f - edges[1:-1]).argmin(axis=0)
    shape[near, np.arange(BANDS)] = np.maximum(shape[near, np.arange(BANDS)], 1e-3)
    return np.asarray(shape / shape.sum(axis=0), dtype=np.float32)
