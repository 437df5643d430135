"""Which note a recording holds, from its sound alone: how sure that is, whether it is one note, and whether it glides.

SWIPE' (Camacho & Harris 2008, "A sawtooth waveform inspired pitch estimator for speech and music", J. Acoust. Soc. Am.
124): the square root of the spectrum is compared with cosine lobes at the first and the prime harmonics of each
candidate, so that neither a multiple nor a fraction of the pitch matches as well. One note has one pitch: what the
moments say is summed before the best is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.ndimage

from ..notes import hz, midi
from .analysis import measure_f0

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

RATE = 48000
LOWEST, HIGHEST = 15.0, 116.0
"""MIDI; pitches that are looked for."""
STEP = 1 / 8
"""Semitones between candidates."""
PERIODS = 8
"""Of a candidate in the window that suits it: a Hann window's main lobe is then half as wide as a harmonic's cosine lobe."""
MOMENTS = 24
"""Most moments that are looked at."""
QUIET = 35.0
"""dB below the loudest moment at which a moment no longer counts."""
TOP = 14000.0
"""Hz."""
MOST = 100
"""Harmonics that are looked at."""
CLEAR = 0.2
"""Strength from which a pitch can be trusted."""
MIXED = 0.2
"""Share of partials off the harmonics from which a sound is no single note."""

_SIZES = tuple(1 << b for b in range(9, 16))


@dataclass(frozen=True)
class Found:
    """What a sound's pitch is.

    pitch: MIDI with fraction, good to a cent or so; strength: 0..1, how well it explains the sound (over 0.3 for 99 in 100
    notes of instruments, under 0.1 for noise); second: the strength of the best other pitch once the first one's
    harmonics are taken out; others: share of the strong partials that are off the harmonics; moment: median over the moments
    of the strength of each one's own best pitch; track: that pitch (moments,), NaN where it is unclear.
    """

    pitch: float
    strength: float
    second: float
    others: float
    moment: float
    track: Doubles

    @property
    def clear(self) -> bool:
        """Whether there is a pitch at all."""
        return self.strength >= CLEAR

    @property
    def mixed(self) -> bool:
        """Whether several notes sound at once; a bell, whose partials are no harmonics, is taken for that too."""
        return self.others > MIXED or (self.second > 0.125 and self.second > 0.3 * self.strength)

    @property
    def moves(self) -> bool:
        """Whether the pitch is another one for a third of the time: a glide, or notes in a row. Octaves do not count."""
        if self.moment < CLEAR:
            return False
        off = np.abs(self.track - np.nanmedian(self.track)) if np.isfinite(self.track).any() else np.zeros(1)
        return bool(np.mean((off > 0.8) & (np.abs(off % 12 - 6) < 5.5)) > 0.3)


def candidates() -> Doubles:
    """MIDI pitches that are tried."""
    return np.arange(LOWEST, HIGHEST + STEP / 2, STEP)


def detect(audio: Floats) -> Found | None:
    """The pitch of mono audio (frames,) at 48 kHz that holds one note; None when it is silent."""
    centres, weight = _moments(audio)
    if not len(centres):
        return None
    score = _strengths(audio, centres)
    mean = weight @ score / weight.sum()
    best = int(np.argmax(mean))
    strength = float(mean[best])
    each = candidates()[np.argmax(score, axis=1)]
    track = np.where(score.max(axis=1) > 0.5 * strength, each, np.nan)
    pitch = _refined(mean, best)
    part = audio[max(0, int(centres[0]) - 2400) : int(centres[-1]) + 2400]
    if strength >= CLEAR:
        pitch = midi(measure_f0(part, pitch))
    rest = weight @ _strengths(audio, centres, without=pitch) / weight.sum()
    return Found(pitch, strength, float(rest.max()), _off_harmonics(part, hz(pitch)), float(np.median(score.max(axis=1))), track)


def _refined(score: Doubles, best: int) -> float:
    """The top of a parabola through the best candidate and its neighbours."""
    if not 0 < best < len(score) - 1:
        return float(candidates()[best])
    a, b, c = score[best - 1 : best + 2]
    return float(candidates()[best] + STEP * 0.5 * (a - c) / min(a - 2 * b + c, -1e-9))


def _moments(audio: Floats) -> tuple[npt.NDArray[np.int64], Doubles]:
    """Centres in frames, spread over where the sound is loud, and weights that fall with the level."""
    hop = 480
    if len(audio) < 2 * hop:
        return np.zeros(0, np.int64), np.zeros(0)
    blocks = audio[: len(audio) // hop * hop].reshape(-1, hop).astype(np.float64)
    level = 10 * np.log10(np.mean(blocks**2, axis=1) + 1e-12)
    if level.max() < -90:
        return np.zeros(0, np.int64), np.zeros(0)
    loud = np.flatnonzero(level > level.max() - QUIET)
    if len(loud) > 8:
        loud = loud[loud > loud[0] + 3]  # an attack has no pitch yet
    chosen = loud[np.unique(np.linspace(0, len(loud) - 1, MOMENTS).astype(int))]
    return chosen * hop + hop // 2, 10 ** ((level[chosen] - level.max()) / 40)


def _strengths(audio: Floats, centres: npt.NDArray[np.int64], *, without: float | None = None) -> Doubles:
    """Pitch strength (moments, candidates). `without` a MIDI pitch, what lies on its harmonics is taken out first."""
    out = np.zeros((len(centres), len(candidates())))
    kernels, frequency = _kernels()
    wanted = PERIODS * RATE / np.array([hz(p) for p in candidates()])
    octave = np.log2(np.clip(wanted, _SIZES[0], _SIZES[-1]))
    for size in _SIZES:
        share = np.clip(1 - np.abs(octave - np.log2(size)), 0, 1)
        some = np.flatnonzero(share)
        loud = _loudness(audio, centres, size, frequency)
        if without is not None:
            loud[:, _on_harmonics(frequency, hz(without), size)] = 0
        out[:, some] += share[some] * (loud @ kernels[some].T)
    return out


def _loudness(audio: Floats, centres: npt.NDArray[np.int64], size: int, frequency: Doubles) -> Doubles:
    """Square roots of magnitudes (moments, len(frequency)), each moment of unit norm."""
    padded = np.pad(audio, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[np.minimum(centres, len(padded) - size)]
    magnitude = np.abs(scipy.fft.rfft(frames * np.hanning(size + 1)[:-1].astype(np.float32), axis=1))
    at = np.minimum(frequency * (size / RATE), size // 2 - 1)
    low = at.astype(int)
    part = (at - low).astype(np.float32)
    loud = np.sqrt(magnitude[:, low] * (1 - part) + magnitude[:, low + 1] * part)
    return np.asarray(loud / np.maximum(np.linalg.norm(loud, axis=1, keepdims=True), 1e-12), dtype=np.float64)


def _on_harmonics(frequency: Doubles, f0: float, size: int) -> npt.NDArray[np.bool_]:
    """Which frequencies belong to harmonics of f0 as a window of `size` shows them, or nearly (strings are stretched)."""
    k = np.maximum(np.round(frequency / f0), 1)
    return np.abs(frequency - k * f0) < np.minimum(2.5 * RATE / size + 0.02 * frequency, 0.3 * f0)


def _off_harmonics(audio: Floats, f0: float) -> float:
    """Share of the partials within 15 dB of the strongest, by the root of their amplitude, that are no harmonics of f0.

    40 periods are resolved at a time, up to the twelfth harmonic. All of them where the harmonics that only f0 itself has,
    the first and those of the higher primes, are not there: then f0 is but the common divisor of a chord.
    """
    size = int(np.clip(40 * RATE / f0, 8192, 32768))
    audio = np.pad(audio, (0, max(0, size - len(audio))))
    starts = np.linspace(0, len(audio) - size, 6).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(audio, size)[starts]
    n = 2 * scipy.fft.next_fast_len(size, real=True)
    power = np.square(np.abs(scipy.fft.rfft(frames * np.hanning(size).astype(np.float32), n=n, axis=1))).mean(axis=0)
    lobe, apart = int(2.2 * n / size), f0 * n / RATE
    own = [power[int(k * apart) - lobe : int(1.02 * k * apart) + lobe] for k in (1, 7, 11, 13)]
    if max(float(p.max(initial=0)) for p in own) < power.max() * 10**-2.7:
        return 1.0
    tops = np.flatnonzero((power == scipy.ndimage.maximum_filter1d(power, 2 * lobe + 1)) & (power > power.max() * 10**-1.5))
    at = tops[tops > lobe] * (RATE / n) / f0
    weight = power[tops[tops > lobe]] ** 0.25
    k = np.maximum(np.round(at), 1)
    off = np.abs(at - k) > np.minimum(0.02 * k + 0.02, 0.2)
    near = at < 12.5
    return float(weight[off & near].sum() / max(float(weight[near].sum()), 1e-20))


@lru_cache(1)
def _kernels() -> tuple[Doubles, Doubles]:
    """(candidates, points), and the points' frequencies in Hz, even on the ERB-rate scale (a tenth apart)."""
    rate = 21.4 * np.log10(1 + np.array([hz(LOWEST) / 4, TOP]) / 229)
    frequency = (10 ** (np.arange(rate[0], rate[1], 0.1) / 21.4) - 1) * 229
    primes = [n for n in range(2, MOST) if all(n % m for m in range(2, int(n**0.5) + 1))]
    rows = []
    for pitch in candidates():
        q = frequency / hz(pitch)
        wave, row = np.cos(2 * np.pi * q), np.zeros(len(q))
        for n in (1, *(p for p in primes if p <= TOP / hz(pitch) - 0.75)):
            away = np.abs(q - n)
            row = np.where(away < 0.25, wave, row + np.where(away < 0.75, 0.5 * wave, 0))
        row *= np.sqrt(1 / frequency)
        rows.append(row / np.linalg.norm(row[row > 0]))
    return np.stack(rows), frequency
