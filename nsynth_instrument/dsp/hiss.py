"""How much noise a decoder adds to a note that has none: its floor between the partials, beside the recording's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .analysis import analyse
from .partials import BAND_EDGES, RATE

Floats = npt.NDArray[np.float32]

FROM, TO = 0.1, 2.9
"""s of a note that are looked at: after the attack, before NSynth's release."""
PERIODS = 40.0
"""Of the note in a window: with the analysis's own 16, a window's lobes would count as noise at -48 dB."""
CLEAN = -40.0
"""dB re the note; a band whose noise lies lower is as good as free of it."""


def floors(audio: Floats, pitch: float) -> Floats:
    """Noise in each of the 64 ERB bands in dB re the note, (BANDS,), of mono audio at RATE whose key is near MIDI `pitch`.

    Both are mean powers over the held part of the note; the noise is what lies between harmonics (`analysis.analyse`).
    """
    held = audio[int(FROM * RATE) : int(TO * RATE)]
    density = (10 ** (analyse(held, pitch, noise_periods=(PERIODS,)).noise / 10)).mean(axis=0)
    level = float(np.mean(np.square(held, dtype=np.float64)))
    return np.asarray(10 * np.log10(np.maximum(density * np.diff(BAND_EDGES), 1e-20) / max(level, 1e-20)), dtype=np.float32)


def hiss(original: Floats, other: Floats, pitch: float) -> float:
    """The loudest floor of `other` in dB re itself, over the bands that are clean in the original; NaN if none is."""
    clean = floors(original, pitch) <= CLEAN
    return float(floors(other, pitch)[clean].max()) if clean.any() else float("nan")
