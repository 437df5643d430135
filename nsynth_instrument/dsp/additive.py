"""Additive synthesis: features of a note as sound."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import scipy.fft

from .partials import ATTACK, BAND_CENTRES, BANDS, HIGHEST, HOP, PIECES, RATE, Floats, Partials


def synthesise(
    note: Partials,
    rng: np.random.Generator,
    *,
    noise: bool = True,
    hiss: np.random.Generator | None = None,
    turned: npt.NDArray[np.float64] | None = None,
) -> Floats:
    """Audio (frames * HOP,) at RATE. Phases come from `rng`, plus `turned` in turns (SLOTS,); noise from `hiss`, else `rng`."""
    phase = rng.random(note.level.shape[1]) + (0.0 if turned is None else turned)
    out = np.zeros(len(note) * HOP, np.float32)
    _oscillators(note.level, note.offset, note.deviation, note.f0, phase, out)
    if noise:
        out += noise_bands(note.noise, hiss or rng)
    if note.attack is not None:
        part = HOP // PIECES
        # It fades out over its last quarter: a level that jumped where it ends would click.
        shaped = note.attack * np.minimum(1, np.arange(ATTACK)[::-1] / (ATTACK // 4))
        gain = np.interp(np.arange(ATTACK * part), np.arange(ATTACK) * part + part // 2, 10 ** (shaped / 20))
        out[: len(gain)] *= gain[: len(out)]
    return out


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _oscillators(level, offset, deviation, f0, phase, out):  # type: ignore[no-untyped-def]
    """Add all oscillators to `out`: amplitude and frequency linear within a hop, phase continuous, in turns.

    -cos(2 pi x) is a polynomial in |x - round(x)| - 1/4, of error below 1e-8: no table, no recurrence, all SIMD.
    """
    frames, slots = level.shape
    hop = 384
    quiet = level.max() - np.float32(90.0)
    ramp = np.arange(hop).astype(np.float32)
    c1, c3, c5 = np.float32(6.28318516), np.float32(-41.341655), np.float32(81.601003)
    c7, c9 = np.float32(-76.549756), np.float32(39.536491)
    for t in range(frames):
        u = min(t + 1, frames - 1)
        base0 = f0 * 2.0 ** (deviation[t] / 1200.0)
        base1 = f0 * 2.0 ** (deviation[u] / 1200.0)
        chunk = out[t * hop : (t + 1) * hop]
        for k in range(slots):
            f_0 = (k + 1) * base0 + offset[t, k] * f0
            f_1 = (k + 1) * base1 + offset[u, k] * f0
            w0 = f_0 / 48000.0
            w1 = f_1 / 48000.0
            if (level[t, k] > quiet or level[u, k] > quiet) and 10.0 < f_0 < 21000.0 and 10.0 < f_1 < 21000.0:
                a0 = np.float32(10.0 ** (level[t, k] / 20.0)) if level[t, k] > -129.0 else np.float32(0.0)
                a1 = np.float32(10.0 ** (level[u, k] / 20.0)) if level[u, k] > -129.0 else np.float32(0.0)
                slope = np.float32((a1 - a0) / hop)
                p = np.float32(phase[k])
                w = np.float32(w0)
                bend = np.float32((w1 - w0) * 0.5 / hop)
                for s in range(hop):
                    n = ramp[s]
                    x = p + n * (w + bend * n)
                    x = abs(x - np.floor(x + np.float32(0.5))) - np.float32(0.25)
                    y = x * x
                    chunk[s] += (a0 + slope * n) * x * (c1 + y * (c3 + y * (c5 + y * (c7 + y * c9))))
            phase[k] = (phase[k] + (w0 + w1) * 0.5 * hop) % 1.0


_SIZE = 1024


def noise_bands(density: Floats, rng: np.random.Generator) -> Floats:
    """Noise (frames * HOP,) whose density follows (frames, BANDS) dB re 1/Hz, interpolated between band centres.

    White noise cut into sqrt-Hann windows of 1024, shaped by frame, windowed again and overlap-added.
    """
    frames = len(density)
    bins = np.arange(_SIZE // 2 + 1) * RATE / _SIZE
    at = np.clip(np.interp(bins, BAND_CENTRES, np.arange(BANDS)), 0, BANDS - 1)
    low = np.minimum(at.astype(int), BANDS - 2)
    part = (at - low).astype(np.float32)
    magnitude = density[:, low] * (1 - part) + density[:, low + 1] * part
    magnitude = np.exp(magnitude * np.float32(np.log(10) / 20)) * np.float32(np.sqrt(RATE / 2))
    magnitude[:, bins > HIGHEST] = 0
    magnitude[:, 0] = 0
    white = rng.standard_normal(frames * HOP + _SIZE, dtype=np.float32)
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_SIZE) / _SIZE)).astype(np.float32)
    cut = np.lib.stride_tricks.sliding_window_view(white, _SIZE)[::HOP][:frames]
    shaped = scipy.fft.irfft(scipy.fft.rfft(cut * window, axis=1) * magnitude, _SIZE, axis=1)
    out = np.zeros(frames * HOP + _SIZE, np.float32)
    # Overlapping Hann windows at this hop sum to SIZE / 2 / HOP in power as in amplitude squared.
    overlap_add(shaped, window * np.float32(1 / (_SIZE / 2 / HOP)), out)
    return out[_SIZE // 2 : _SIZE // 2 + frames * HOP]


@numba.njit(nogil=True, cache=True)
def overlap_add(parts, window, out):  # type: ignore[no-untyped-def]
    """Add parts (frames, n), each times `window` (n,), HOP apart to `out`."""
    for t in range(len(parts)):
        start = t * 384
        for i in range(len(window)):
            out[start + i] += parts[t, i] * window[i]
