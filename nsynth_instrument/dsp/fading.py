"""How much of a known note's detail another key has: of each part its own share, by the distance in semitones.

What a sound's colour is beside what the network says, harmonic by harmonic, is the instrument's and holds for octaves; how a
partial trembles is that one note's and holds for no other. Measured by least squares on 800 pairs of notes, same preset and
velocity, of 31 presets that the network had not heard: what it did not say of the one from what it did not say of the other.
Refined codes say more of it, for all keys: from three semitones on shares are 0.6 of that (0.4 of a familiar colour, 0.3 of
offsets), by the distance of 240 notes of another recording three semitones away, 420 of any two to six away, and 96 an octave.
A colour far from what the network says is of a sound that it does not know, and holds the better; what it says of such a sound's
other keys is no better than that they have the same colour.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SEMITONES = (0, 1, 3, 6, 12, 24)
_Fade = tuple[float, ...]
_Span = tuple[tuple[int, _Fade], ...]

LEVEL: tuple[_Span, ...] = (
    ((4, (1, 0.89, 0.36, 0.18, 0.06, 0)), (32, (1, 0.5, 0, 0, 0, 0))),
    ((4, (1, 0.92, 0.48, 0.35, 0.24, 0.14)), (16, (1, 0.46, 0, 0, 0, 0)), (120, (1, 0, 0, 0, 0, 0))),
    ((4, (1, 0.45, 0.25, 0.24, 0.21, 0)), (48, (1, 0, 0, 0, 0, 0))),
)
"""Onset, sustain and release: shares of cosines up to a number, at each of SEMITONES; of levels COLOUR stands for the first."""
COLOUR: tuple[tuple[_Fade, _Fade], ...] = (
    ((1, 0.8, 0.2, 0.14, 0.04, 0), (1, 0.97, 0.82, 0.75, 0.65, 0.5)),
    ((1, 0.8, 0.24, 0.16, 0.12, 0.12), (1, 0.97, 0.95, 0.92, 0.92, 0.85)),
    ((1, 0.9, 0.3, 0.24, 0.2, 0.08), (1, 0.97, 0.85, 0.8, 0.7, 0.4)),
)
"""Of sounds that are as the network says to within FAMILIAR, and of those that are not by STRANGE, rms over harmonics."""
FAMILIAR, STRANGE = 2.5, 8.5
"""dB."""
DOUBTED, REFUSED = 6.0, 10.0
"""dB from which on what the network says of the colour of other keys counts less, and not at all."""
NOISE: tuple[_Span, ...] = (
    ((1, (1, 1, 0.56, 0.53, 0.4, 0.12)), (4, (1, 0.97, 0.52, 0.39, 0.17, 0)), (32, (1, 0.9, 0.43, 0.33, 0.17, 0))),
    ((1, (1, 0.9, 0.48, 0.48, 0.42, 0.18)), (4, (1, 0.98, 0.51, 0.41, 0.3, 0.06)), (60, (1, 0.69, 0.32, 0.22, 0.1, 0))),
    ((1, (1, 1, 0.42, 0.42, 0.36, 0)), (4, (1, 0.86, 0.46, 0.45, 0.36, 0.06)), (24, (1, 0.49, 0.24, 0.19, 0.09, 0))),
)
OFFSET: tuple[_Span, ...] = (
    ((1, (1, 0.69, 0.2, 0.2, 0.2, 0.12)), (32, (1, 0.46, 0.06, 0.04, 0, 0))),
    ((1, (1, 0.89, 0.26, 0.26, 0.26, 0.18)), (120, (1, 0.22, 0.04, 0.01, 0, 0))),
    ((1, (1, 0.88, 0.26, 0.26, 0.25, 0.15)), (48, (1, 0.3, 0.09, 0.09, 0.09, 0.04))),
)
ATTACK: _Fade = (1, 0.93, 0.88, 0.85, 0.7, 0.25)
SWING: _Fade = (1, 0.9, 0.85, 0.8, 0.7, 0.5)
"""Of how much more or less levels move than was said, as a logarithm."""
TRANSPOSED: tuple[_Fade, _Fade] = (0, 0, 1, 1, 1, 1), (0, 0, 0, 0, 0.25, 0.25)
"""How much of what is expected of other keys' codes counts there (`codecs.transposition`), of familiar sounds and of strange
ones; by 64 notes of known presets two and four semitones away, 420 of unknown ones two to six, and 96 of both an octave."""
PITCH: _Fade = (1, 0.3, 0, 0, 0, 0)
"""Of the course of the common pitch."""


def share(fade: _Fade, away: float) -> float:
    """What is left of a part `away` semitones, up or down, from where it is known."""
    return float(np.interp(abs(away), SEMITONES, fade))


def colour(away: float, size: float) -> Floats:
    """The shares of an onset's, sustain's and release's colour that is `size` dB from what was said, (3,)."""
    far = np.clip((size - FAMILIAR) / (STRANGE - FAMILIAR), 0, 1)
    return np.array([share(a, away) * (1 - far) + share(b, away) * far for a, b in COLOUR], np.float32)


def doubt(away: float, size: float) -> float:
    """How little what the network says of the colour of a key away counts."""
    return float(np.clip((size - DOUBTED) / (REFUSED - DOUBTED), 0, 1)) if away else 0.0


@lru_cache(512)
def shares(spans: tuple[_Span, ...], away: float) -> Floats:
    """The same for rows of cosines of all spans, (rows, 1)."""
    out: list[float] = []
    for span in spans:
        first = 0
        for last, fade in span:
            out += [share(fade, away)] * (last - first)
            first = last
    return np.array(out, np.float32)[:, None]


def quick(away: float) -> float:
    """The share of what moves fast."""
    return share(LEVEL[1][-1][1], away)
