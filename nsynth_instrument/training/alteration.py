"""Changes of whole sounds as features: coloured, blended, crossed, stilled; what is heard and what is asked change alike."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..dsp import timbre
from ..dsp.partials import ATTACK, BAND_CENTRES, PIECES, QUIETEST, SILENCE, Partials


@dataclass(frozen=True, eq=False)
class Alteration:
    """One change of a whole sound, applied alike to what is heard and what is asked, so that the codes must carry it.

    curve: gain in dB (points over log frequency); gain: dB, level; floor: dB re 1/Hz of added noise; decay: dB/s by which
    it fades faster than it did.
    """

    curve: npt.NDArray[np.float32]
    gain: float
    floor: float
    decay: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Alteration:
        """A smooth equaliser with tilt, a level, a decay, sometimes a noise floor."""
        knots = np.interp(np.arange(timbre.POINTS), np.linspace(0, timbre.POINTS - 1, 8), rng.normal(0, 4, 8))
        tilt = rng.normal(0, 4) * np.linspace(-1, 1, timbre.POINTS)
        curve = knots + tilt
        floor = rng.uniform(-140, -95) if rng.random() < 0.2 else -300.0
        decay = float(max(0.0, rng.normal(0, 6))) if rng.random() < 0.3 else 0.0
        return cls((curve - max(0, curve.max() - 6)).astype(np.float32), float(rng.uniform(-8, 3)), floor, decay)

    def __call__(self, note: Partials, first: int) -> Partials:
        """The altered note (features of a crop that begins at frame `first`)."""
        fading = -self.decay * timbre.frame_times(len(note), first)[:, None]
        at = np.interp(timbre.positions(note.f0), np.arange(timbre.POINTS), self.curve) + self.gain + fading
        octaves = np.log(BAND_CENTRES / timbre.LOWEST) / np.log(timbre.TOP / timbre.LOWEST)
        grid = np.interp(octaves, np.linspace(0, 1, timbre.POINTS), self.curve)
        level = np.where(note.level > -129, note.level + at.astype(np.float32), note.level)
        noise = 10 * np.log10(10 ** ((note.noise + grid + self.gain + fading) / 10) + 10 ** (self.floor / 10))
        return replace(note, level=np.maximum(level, -130).astype(np.float32), noise=noise.astype(np.float32))


def blend(one: Partials, other: Partials, gain: float) -> Partials:
    """Two notes of one key as one sound, the other `gain` dB up: powers add, and the louder says where a partial lies."""
    level = other.level + np.float32(gain)
    louder = level > one.level
    noise = 10 * np.log10(10 ** (one.noise / 10) + 10 ** ((other.noise + gain) / 10))
    loud = louder[:, :12].mean(axis=1) > 0.5
    return replace(
        one,
        level=np.maximum(10 * np.log10(10 ** (one.level / 10) + 10 ** (level / 10)), SILENCE).astype(np.float32),
        offset=np.where(louder, other.offset, one.offset),
        noise=noise.astype(np.float32),
        deviation=np.where(loud, other.deviation, one.deviation),
        attack=other.attack if loud[: ATTACK // PIECES].mean() > 0.5 else one.attack,
    )


def crossed(one: Partials, other: Partials) -> Partials:
    """The timbre of one note under the envelope of another: a choir that is struck, a piano that swells."""
    here, there = (10 * np.log10((10 ** (n.level / 10)).sum(axis=1, keepdims=True)) for n in (one, other))
    change = np.clip(there - here, -60, 30).astype(np.float32)
    level = np.where(one.level > SILENCE + 1, np.clip(one.level + change, SILENCE, 0), one.level)
    return replace(one, level=level, noise=np.maximum(one.noise + change, QUIETEST), attack=other.attack)


def stilled(note: Partials) -> Partials:
    """A note whose frames are all alike: the mean of its own."""
    level, offset, noise = (np.broadcast_to(x.mean(axis=0), x.shape) for x in (note.level, note.offset, note.noise))
    return replace(note, level=level, offset=offset, noise=noise, deviation=np.zeros_like(note.deviation), attack=None)
