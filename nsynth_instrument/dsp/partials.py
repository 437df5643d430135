"""A note as one oscillator per harmonic slot plus noise in bands.

Sines plus noise after Serra & Smith 1990 ("Spectral modeling synthesis"), with the spectrum cut into
**slots** of width f0 around each harmonic: one oscillator a slot, with a level and an offset of its
frequency inside the slot, so that stretched piano partials and inharmonic bells survive. Everything is
at RATE, one frame per HOP. `analysis` finds them in a sound, `additive` makes sound of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

RATE = 48000
HOP = 384
"""Samples per frame: 125 frames a second, four per code frame."""
SLOTS = 192
BANDS = 64
PIECES = 4
"""Parts of a frame, 2 ms each, in which an attack is told."""
ATTACK = 32
"""Parts told, from the onset: 64 ms."""
HIGHEST = 20000.0
"""Hz; nothing is analysed or synthesised above."""
SILENCE = -130.0
"""dB; the level of a slot that is off."""
QUIETEST = -170.0
"""dB re 1/Hz; the least noise density."""


def _erb_edges() -> npt.NDArray[np.float64]:
    """BANDS + 1 edges in Hz, even on the ERB-rate scale (Glasberg & Moore 1990)."""
    rate = 21.4 * np.log10(1 + 0.00437 * np.array([20.0, HIGHEST]))
    even = np.linspace(rate[0], rate[1], BANDS + 1)
    return np.asarray((10 ** (even / 21.4) - 1) / 0.00437)


BAND_EDGES = _erb_edges()
BAND_CENTRES = np.sqrt(BAND_EDGES[:-1] * BAND_EDGES[1:])


@dataclass(frozen=True, eq=False)
class Beat:
    """Second oscillators beside a note's.

    hz: by which the first partial's is higher, times its number each other's; ratio: of their amplitudes to the first ones'
    (frames, some slots), 1 at the most; turns: by which they begin later (some slots,).
    """

    hz: float
    ratio: Floats
    turns: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Partials:
    """One note's features.

    f0: Hz; level: dB re full scale (frames, SLOTS), SILENCE where off; offset: of each oscillator from its
    harmonic, as a fraction of f0, in +-0.5 (frames, SLOTS); noise: density in dB re 1/Hz (frames, BANDS);
    deviation: of the common pitch from f0 in cents (frames,); attack: dB by which the onset differs from what frames can
    say, since their windows reach over it (ATTACK,), None where the features begin later; beat: where each oscillator is two,
    which are as loud as the level in the middle of their beating.
    """

    f0: float
    level: Floats
    offset: Floats
    noise: Floats
    deviation: Floats
    attack: Floats | None = None
    beat: Beat | None = None

    def louder(self, gain: float) -> Partials:
        """The same note `gain` dB louder."""
        level = np.where(self.level > SILENCE + 1, self.level + np.float32(gain), self.level)
        return replace(self, level=level, noise=self.noise + np.float32(gain))

    def __len__(self) -> int:
        return len(self.level)


def slots_for(f0: float) -> int:
    """How many slots lie below HIGHEST."""
    return max(1, min(SLOTS, int(HIGHEST / f0)))


def silenced(note: Partials) -> Partials:
    """The same note with every slot above HIGHEST off: a decoder draws a level for all of them."""
    level = note.level.copy()
    level[:, slots_for(note.f0) :] = SILENCE
    return replace(note, level=level)
