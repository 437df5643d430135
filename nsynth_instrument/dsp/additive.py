"""Additive synthesis: features of a note as sound."""

from __future__ import annotations

from functools import cache

import numba
import numpy as np
import numpy.typing as npt

from .curves import exp2
from .normal import normal
from .partials import ATTACK, BAND_CENTRES, BANDS, HIGHEST, HOP, PIECES, RATE, SILENCE, Floats, Partials, slots_for
from .sidebyside import SIZE, shaped, whole
from .wide import wide


def synthesise(
    note: Partials,
    rng: np.random.Generator,
    *,
    noise: bool = True,
    hiss: np.random.Generator | None = None,
    turned: npt.NDArray[np.float64] | None = None,
) -> Floats:
    """Audio (frames * HOP,) at RATE. Phases come from `rng`, plus `turned` in turns (SLOTS,); noise from `hiss`, else `rng`."""
    phase = rng.random((note.level.shape[1],)) + (0.0 if turned is None else turned)
    return played(note, phase, noise_bands(note.noise, hiss or rng) if noise else None)


def played(note: Partials, phase: npt.NDArray[np.float64], noise: Floats | None) -> Floats:
    """Audio (frames * HOP,): oscillators from `phase` in turns (SLOTS,) on, noise (frames * HOP,) and an onset shaped."""
    out = tones(note, phase)
    if noise is not None:
        out += noise
    if note.attack is not None:
        part = HOP // PIECES
        # It fades out over its last quarter: a level that jumped where it ends would click.
        shaped = note.attack * np.minimum(1, np.arange(ATTACK)[::-1] / (ATTACK // 4))
        gain = np.interp(np.arange(ATTACK * part), np.arange(ATTACK) * part + part // 2, 10 ** (shaped / 20))
        out[: len(gain)] *= gain[: len(out)]
    return out


def tones(note: Partials, phase: npt.NDArray[np.float64], *, thin: int = 1) -> Floats:
    """The oscillators alone, from `phase` in turns (SLOTS,) on: audio (frames * HOP / thin,) at RATE / thin.

    What lies above half of that rate must be left out of the note.
    """
    n = slots_for(10 / 11 * note.f0)  # with those that are bent down from above
    level, rate = note.level[:, :n], RATE / thin
    common = note.f0 / rate * np.exp2(note.deviation.astype(np.float64) / 1200)
    turns = np.arange(1, level.shape[1] + 1) * common[:, None] + note.offset[:, :n] * (note.f0 / rate)
    amplitude = np.exp(level * np.float32(np.log(10) / 20))
    amplitude[level < SILENCE + 1] = 0
    out = np.zeros(len(note) * HOP // thin, np.float32)
    if note.beat is None:
        _oscillators(amplitude, turns, phase.copy(), 10 / rate, 21000 / rate, out)
        return out
    ratio, later = np.zeros_like(amplitude), np.zeros(len(phase))
    some = min(amplitude.shape[1], note.beat.ratio.shape[1])
    ratio[:, :some], later[:some] = note.beat.ratio[:, :some], note.beat.turns[:some]
    # The louder is bent the less, so that their mean by power stays.
    away = np.arange(1, ratio.shape[1] + 1) * (note.beat.hz / rate) / (1 + ratio * ratio)
    first = amplitude / np.sqrt(1 + ratio * ratio)
    _oscillators(first, turns - away * ratio * ratio, phase.copy(), 10 / rate, 21000 / rate, out)
    _oscillators(first * ratio, turns + away, phase + later, 10 / rate, 21000 / rate, out)
    return out


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _oscillators(amplitude, turns, phase, lowest, highest, out):  # type: ignore[no-untyped-def]
    """Add all oscillators to `out`: amplitude and turns a sample (frames, n) linear within a hop, phase (n,) in turns.

    cos(2 pi x) is a polynomial in the square of x - round(x), of error below 1e-6: no table, no recurrence, all SIMD.
    """
    wide()
    frames, slots = amplitude.shape
    hop = len(out) // frames
    quiet = amplitude.max() * np.float32(10 ** (-90 / 20))
    ramp = np.arange(hop).astype(np.float32)
    c0, c1, c2 = np.float32(-0.9999992), np.float32(19.738981), np.float32(-64.92866)
    c3, c4, c5 = np.float32(85.27162), np.float32(-58.790493), np.float32(21.071106)
    for t in range(frames):
        u = min(t + 1, frames - 1)
        chunk = out[t * hop : (t + 1) * hop]
        for k in range(slots):
            a0, a1, w0, w1 = amplitude[t, k], amplitude[u, k], turns[t, k], turns[u, k]
            if max(a0, a1) > quiet and lowest < w0 < highest and lowest < w1 < highest:
                p, w = np.float32(phase[k]), np.float32(w0)
                slope, bend = np.float32((a1 - a0) / hop), np.float32((w1 - w0) * 0.5 / hop)
                for s in range(hop):
                    n = ramp[s]
                    x = p + n * (w + bend * n)
                    x -= np.rint(x)
                    y = x * x
                    chunk[s] += (a0 + slope * n) * (c0 + y * (c1 + y * (c2 + y * (c3 + y * (c4 + y * c5)))))
            phase[k] = (phase[k] + (w0 + w1) * 0.5 * hop) % 1.0


def noise_bands(density: Floats, rng: np.random.Generator) -> Floats:
    """Noise (frames * HOP,) whose density follows (frames, BANDS) dB re 1/Hz, interpolated between band centres.

    White noise cut into sqrt-Hann windows of 1024, shaped by frame, windowed again and overlap-added.
    """
    frames, (window, low, part) = len(density), _tables()
    gains = np.zeros((len(low), whole(frames)), np.float32)
    # Overlapping Hann windows at this hop sum to SIZE / 2 / HOP in power as in amplitude squared.
    _gains(np.ascontiguousarray(density.T, np.float32), low, part, np.float32(np.sqrt(RATE / 2) / (SIZE / 2 / HOP)), gains)
    out = shaped(normal(rng, (gains.shape[1] - 1) * HOP + SIZE), gains, window, HOP)
    return out[SIZE // 2 : SIZE // 2 + frames * HOP]


@cache
def _tables() -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """The window; of its bins up to HIGHEST, but for the first, between which bands they lie, and how far on (bins,)."""
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SIZE) / SIZE))
    bins = np.arange(1, int(HIGHEST * SIZE / RATE) + 1) * RATE / SIZE
    at = np.interp(bins, BAND_CENTRES, np.arange(BANDS))
    low = np.minimum(at.astype(np.int64), BANDS - 2)
    return window.astype(np.float32), low, (at - low).astype(np.float32)


@numba.njit(nogil=True, cache=True, fastmath=True)
def _gains(density, low, part, scale, out):  # type: ignore[no-untyped-def]
    """Amplitudes times a scale (bins, frames or more) of densities in dB (BANDS, frames), between bands as `_tables` says."""
    wide()
    octaves = np.float32(np.log2(10.0) / 20)
    for b in range(len(low)):
        one, other, p, to = density[low[b]], density[low[b] + 1], part[b], out[b]
        for t in range(len(one)):
            to[t] = scale * exp2((one[t] + (other[t] - one[t]) * p) * octaves)


@numba.njit(nogil=True, cache=True)
def overlap_add(parts, window, out):  # type: ignore[no-untyped-def]
    """Add parts (frames, n), each times `window` (n,), HOP apart to `out`."""
    for t in range(len(parts)):
        start = t * 384
        for i in range(len(window)):
            out[start + i] += parts[t, i] * window[i]
