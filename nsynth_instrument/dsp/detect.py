"""Which note a recording holds, from its sound alone: how sure that is, whether it is one note, and whether it glides.

SWIPE' (Camacho & Harris 2008, "A sawtooth waveform inspired pitch estimator for speech and music", J. Acoust. Soc. Am.
124): the square root of the spectrum is compared with cosine lobes at the first and the prime harmonics of each
candidate, so that neither a multiple nor a fraction of the pitch matches as well. One note has one pitch: what the
frames say is summed before the best is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from ..notes import hz, midi

Floats = npt.NDArray[np.float32]

RATE = 48000
LOWEST, HIGHEST = 15.0, 116.0
"""MIDI; pitches that are looked for."""
STEP = 1 / 8
"""Semitones between candidates."""
PERIODS = 8
"""Of a candidate in the window that suits it: a Hann window's main lobe is then half as wide as a harmonic's cosine lobe."""
FRAMES = 24
"""Most moments that are looked at."""
QUIET = 35.0
"""dB below the loudest moment at which a moment no longer counts."""
TOP = 14000.0
"""Hz."""

_SIZES = tuple(1 << b for b in range(7, 16))


@dataclass(frozen=True)
class Found:
    """pitch: MIDI with fraction, good to a few cents; strength: 0..1, how well it explains the sound: over 0.3 of most
    instruments' notes, under 0.15 of noise; track: pitch at each moment looked at (moments,), NaN where it is unclear.
    """

    pitch: float
    strength: float
    track: npt.NDArray[np.float64]


def candidates() -> npt.NDArray[np.float64]:
    """MIDI pitches that are tried."""
    return np.arange(LOWEST, HIGHEST + STEP / 2, STEP)


def detect(audio: Floats) -> Found | None:
    """The pitch of mono audio (frames,) at 48 kHz that holds one note; None when it is silent."""
    score, weight = strengths(audio)
    if not len(score):
        return None
    mean = weight @ score / weight.sum()
    best = int(np.argmax(mean))
    each = np.argmax(score, axis=1)
    track = np.where(score.max(axis=1) > 0.5 * mean[best], candidates()[each], np.nan)
    return Found(_refined(mean, best), float(mean[best]), track)


def _refined(score: npt.NDArray[np.float64], best: int) -> float:
    """The top of a parabola through the best candidate and its neighbours."""
    if not 0 < best < len(score) - 1:
        return float(candidates()[best])
    a, b, c = score[best - 1 : best + 2]
    return float(candidates()[best] + STEP * 0.5 * (a - c) / min(a - 2 * b + c, -1e-9))


def strengths(audio: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pitch strength (moments, candidates) at up to FRAMES moments that are loud enough, and each moment's weight."""
    centres, weight = _moments(audio)
    out = np.zeros((len(centres), len(candidates())))
    if not len(centres):
        return out, weight
    kernels, frequency = _kernels()
    octave = np.log2(PERIODS * RATE / np.array([hz(p) for p in candidates()]))
    for size in _SIZES:
        share = np.clip(1 - np.abs(octave - np.log2(size)), 0, 1)
        if size == _SIZES[-1]:
            share = np.where(octave > np.log2(size), 1, share)
        some = np.flatnonzero(share)
        if len(some):
            loud = _loudness(audio, centres, size, frequency)
            out[:, some] += share[some] * (loud @ kernels[some].T)
    return out, weight


def _moments(audio: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Centres in frames, spread over where the sound is loud, and weights that fall with the level."""
    hop = 480
    if len(audio) < 2 * hop:
        return np.zeros(0, np.int64), np.zeros(0)
    blocks = audio[: len(audio) // hop * hop].reshape(-1, hop).astype(np.float64)
    level = 10 * np.log10(np.mean(blocks**2, axis=1) + 1e-12)
    if level.max() < -90:
        return np.zeros(0, np.int64), np.zeros(0)
    loud = np.flatnonzero(level > level.max() - QUIET)
    first = loud[loud > loud[0] + 3] if len(loud) > 8 else loud  # an attack has no pitch yet
    chosen = first[np.unique(np.linspace(0, len(first) - 1, FRAMES).astype(int))]
    return chosen * hop + hop // 2, 10 ** ((level[chosen] - level.max()) / 40)


def _loudness(audio: Floats, centres: npt.NDArray[np.int64], size: int, frequency: Floats) -> npt.NDArray[np.float64]:
    """Square roots of magnitudes (moments, len(frequency)), each moment of unit norm."""
    padded = np.pad(audio, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[np.minimum(centres, len(padded) - size)]
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    magnitude = np.abs(scipy.fft.rfft(frames * window, axis=1))
    at = np.minimum(frequency * (size / RATE), size // 2 - 1)
    low = at.astype(int)
    part = (at - low).astype(np.float32)
    loud = np.sqrt(magnitude[:, low] * (1 - part) + magnitude[:, low + 1] * part)
    return np.asarray(loud / np.maximum(np.linalg.norm(loud, axis=1, keepdims=True), 1e-12), dtype=np.float64)


@lru_cache(1)
def _kernels() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(candidates, points), and the points' frequencies in Hz, even on the ERB-rate scale (a tenth apart)."""
    lowest = hz(LOWEST) / 4
    rate = 21.4 * np.log10(1 + np.array([lowest, TOP]) / 229)
    frequency = (10 ** (np.arange(rate[0], rate[1], 0.1) / 21.4) - 1) * 229
    harmonics = [1, *_primes(int(TOP / hz(LOWEST)))]
    rows = []
    for pitch in candidates():
        f0 = hz(pitch)
        q = frequency / f0
        row = np.zeros(len(q))
        for n in harmonics:
            if n > TOP / f0 - 0.75:
                break
            away = np.abs(q - n)
            row = np.where(away < 0.25, np.cos(2 * np.pi * q), row)
            row += np.where((away >= 0.25) & (away < 0.75), 0.5 * np.cos(2 * np.pi * q), 0)
        row *= np.sqrt(1 / frequency)
        rows.append(row / np.linalg.norm(row[row > 0]))
    return np.stack(rows), frequency


def _primes(most: int) -> list[int]:
    sieve = np.ones(most + 1, bool)
    sieve[:2] = False
    for n in range(2, int(most**0.5) + 1):
        if sieve[n]:
            sieve[n * n :: n] = False
    return [int(p) for p in np.flatnonzero(sieve)]


def _unused() -> float:
    return midi(440.0)
