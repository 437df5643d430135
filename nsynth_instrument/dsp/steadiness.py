"""How a held note moves from moment to moment: its partials' levels and its pitch, apart from their slow course."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.ndimage

from .analysis import analyse
from .partials import HOP, RATE, slots_for

Floats = npt.NDArray[np.float32]

FROM, TO = 0.5, 2.5
"""s of a note between which it is held: after the attack, before NSynth's release."""
HEARD = 40.0
"""dB under the strongest partial; weaker ones do not count."""
COURSE = 0.25
"""s over which a level's mean is its course, and what differs from it is movement."""
AUDIBLE = 60.0
"""dB under a note's loudest moment; from where all partials are fainter, nobody hears how they move: a kalimba's 0.5 to 2.5 s lie
30 to 120 dB under its stroke, most of it the recording's silence, whose levels go up and down as noise does."""
PERIODS = 6.0
"""Of f0 in a window: with fewer, neighbouring harmonics leak into each other and seem to waver."""
FRAME_RATE = RATE / HOP


@dataclass(frozen=True)
class Movement:
    """Of one note while it is held.

    jitter: mean absolute change of a partial's level in dB from frame to frame (8 ms); sway: standard deviation of the
    common pitch in cents; stir: RMS in dB of what partials' levels do beside their course; hum: peak dB of that at
    31.25 and at 62.5 Hz, the rates at which a decoder of codes may hum, the larger one (the window of 21 ms, longer below
    280 Hz, takes a quarter off the former).
    Partials count by their power's fourth root, so that many weak ones do not drown the strong, nor one strong the rest.
    """

    jitter: float
    sway: float
    stir: float
    hum: float


def movement(audio: Floats, pitch: float) -> Movement:
    """Of a mono note at 48 kHz, 2.5 s or longer, near MIDI `pitch`; of one that is over before it would be held, none."""
    note = analyse(audio, pitch, sine_periods=PERIODS)
    loudest = note.level.max(axis=1)
    first, last = round(FROM * FRAME_RATE), round(TO * FRAME_RATE)
    faint = np.flatnonzero(loudest[first:last] < loudest.max() - AUDIBLE)
    here = slice(first, first + int(faint[0]) if len(faint) else last)
    if here.stop - here.start < 2:
        return Movement(0.0, 0.0, 0.0, 0.0)
    level = note.level[here, : slots_for(note.f0)]
    mean = level.mean(axis=0)
    heard = mean > mean.max() - HEARD
    level = np.maximum(level[:, heard], mean.max() - HEARD - 10)  # what comes and goes in noise has no level of its own
    weight = 10 ** (mean[heard] / 40)
    weight = weight / weight.sum()
    jitter = float(np.abs(np.diff(level, axis=0)).mean(axis=0) @ weight)
    moves = level - scipy.ndimage.uniform_filter1d(level, round(COURSE * FRAME_RATE) | 1, axis=0, mode="nearest")
    stir = float(np.sqrt((moves**2).mean(axis=0) @ weight))
    t = np.arange(len(moves))
    quarter = 2 * np.abs(moves.T @ np.exp(-0.5j * np.pi * t)) / len(t)
    half = np.abs(moves.T @ (1.0 - 2 * (t % 2))) / len(t)
    return Movement(jitter, float(note.deviation[here].std()), stir, float(max(quarter @ weight, half @ weight)))
