"""How loud a note's features are from frame to frame, to the ear, and features made as loud as they are to be."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .loudness import WINDOW, gain
from .partials import BAND_CENTRES, BAND_EDGES, HOP, RATE, SLOTS, Partials, slots_for
from .timbre import Said

Floats = npt.NDArray[np.float32]
Features = TypeVar("Features", Said, Partials)

LOUDER, SOFTER = 24.0, 60.0
"""dB by which a frame is changed at most."""
SMOOTH = 16
"""Frames, 128 ms."""
FAINT = 70.0
"""dB below its loudest at which a frame is not made louder: it may be all noise of the network."""


def course(features: Said | Partials, f0: float) -> Floats:
    """Level in dB (frames,) of all oscillators and all noise, weighted as loudness is (BS.1770's K curve)."""
    n = slots_for(f0)
    k = np.float32(np.log(10) / 10)
    tones, noises = _weights(f0)
    power = np.exp(k * np.maximum(features.level[:, :n], -150)) @ tones[:n]
    power += np.exp(k * np.maximum(features.noise, -200)) @ noises
    return (10 * np.log10(np.maximum(power, 1e-16))).astype(np.float32)


def loudest(level: Floats) -> float:
    """dB of the loudest 0.4 s of a course, as `dsp.loudness.loudest` is of audio."""
    power = np.concatenate([[0.0], np.cumsum(10 ** (level.astype(np.float64) / 10))])
    n = min(round(WINDOW * RATE / HOP), len(level))
    return float(10 * np.log10((power[n:] - power[:-n]).max() / n))


def levelled(features: Features, f0: float, wanted: Floats) -> Features:
    """The same features as loud as `wanted`, dB (frames,), as far as LOUDER and SOFTER reach.

    Exactly at the onset; after it on the mean over SMOOTH frames to both sides, so that what beats goes on beating, and noise
    does not swell where partials sink.
    """
    found = course(features, f0)
    change = np.clip(wanted - found, -SOFTER, LOUDER)
    change = np.where(found < found.max() - FAINT, np.minimum(change, 0), change)
    total = np.concatenate([[0.0], np.cumsum(change, dtype=np.float64)])
    t = np.arange(len(change))
    side = np.minimum(np.minimum(t, t[::-1]), SMOOTH)
    change = ((total[t + side + 1] - total[t - side]) / (2 * side + 1)).astype(np.float32)[:, None]
    return dataclasses.replace(features, level=features.level + change, noise=features.noise + change)


@lru_cache(256)
def _weights(f0: float) -> tuple[Floats, Floats]:
    """Factors of power: of each oscillator's squared amplitude, (SLOTS,), and of each band's density, (BANDS,)."""
    tones = 0.5 * gain(np.arange(1, SLOTS + 1) * f0)
    noises = np.diff(BAND_EDGES) * gain(BAND_CENTRES)
    return tones.astype(np.float32), noises.astype(np.float32)
