"""Sounds whose truth is known, to measure what a measure or a codec adds."""

from __future__ import annotations

import numpy as np

from ..audio import Audio


def steady(f0: float, rate: int, seconds: float) -> Audio:
    """Harmonics of f0 (Hz) whose amplitudes fall as 1 / k, up to 0.42 of the rate (Hz): nothing moves from 20 ms on until the
    release, 1 s before the end; (seconds * rate,).
    """
    t = np.arange(round(seconds * rate)) / rate
    k = np.arange(1, min(64, int(0.42 * rate / f0)) + 1)
    # Phases after Schroeder 1970, so that the peaks do not pile up.
    phase = -np.pi * k * (k - 1) / len(k)
    tone = (np.sin(2 * np.pi * f0 * np.outer(t, k) + phase) / k).sum(axis=1)
    envelope = np.minimum(1, t / 0.02) * np.exp(-np.maximum(0, t - (seconds - 1)) / 0.05)
    return np.asarray(0.2 * tone * envelope, dtype=np.float32)
