"""How much noise a decoder adds to a note that has none: its floor between the partials, beside the recording's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .analysis import between, measure_f0
from .partials import BAND_EDGES, RATE

Floats = npt.NDArray[np.float32]

FROM, TO = 0.1, 2.9
"""s of a note that are looked at: after the attack, before NSynth's release."""
PERIODS = 40.0
"""Of the note in a window: with the analysis's own 16, a window's lobes would count as noise at -48 dB."""
CLEAN = -40.0
"""dB re the note; a band whose noise lies lower is as good as free of it."""


def fundamental(audio: Floats, pitch: float) -> float:
    """Hz of the slots in which `floors` looks for noise in a recording, and in what is made of it."""
    return measure_f0(_held(audio), pitch)


def floors(audio: Floats, f0: float) -> Floats:
    """Noise in each of the 64 ERB bands in dB re the note, (BANDS,), of mono audio at RATE, by slots of f0 in Hz.

    Both are mean powers over the held part of the note; the noise is what lies between harmonics (`analysis.between`).
    """
    held = _held(audio)
    density = (10 ** (between(held, f0, (PERIODS,))[1] / 10)).mean(axis=0)
    level = float(np.mean(np.square(held, dtype=np.float64)))
    return np.asarray(10 * np.log10(np.maximum(density * np.diff(BAND_EDGES), 1e-20) / max(level, 1e-20)), dtype=np.float32)


def hiss(original: Floats, other: Floats, pitch: float) -> float:
    """The loudest floor of `other` in dB re itself, over the bands that are clean in the original; NaN if none is.

    Both by the original's slots: what has no clear pitch is measured at another in every draw, and other slots have other bands.
    """
    f0 = fundamental(original, pitch)
    clean = floors(original, f0) <= CLEAN
    return float(floors(other, f0)[clean].max()) if clean.any() else float("nan")


def _held(audio: Floats) -> Floats:
    return np.ascontiguousarray(audio[int(FROM * RATE) : int(TO * RATE)], dtype=np.float32)
