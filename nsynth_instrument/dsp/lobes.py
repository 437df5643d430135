"""The spectrum that features are expected to have, bin by bin, and how their distance from others' moves with them.

Every oscillator is a lobe of the window's, noise lies between. A partial counts by the bins in which it stands out, an offset by
those into which it would move, noise by those that it fills: as in `distance.log_spectral_distance`, but for chance.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from .partials import BAND_CENTRES, BANDS, HIGHEST, RATE, SLOTS, Partials, slots_for
from .wide import wide

Floats = npt.NDArray[np.float32]

SIZE = 2048
"""Samples of the Hann window."""
DEPTH = 70.0
"""dB under the loudest bin below which all is silent."""
TONE, HISS = 4.0, 7.7
"""dB within which a miss of a tone costs by its square, not by its size, since tones flutter; and how much more in noise, since
two draws of the same are 6 dB apart, and a decibel or two more or less of it hardly matters."""
BIN = RATE / SIZE
BINS = int(HIGHEST / BIN)
_REACH, _FINE = 6, 32
"""Bins to either side that a lobe reaches, and how finely it is tabled."""


def _lobe() -> Floats:
    """Power of a tone of 1 at distances of -_REACH.._REACH bins by 1 / _FINE; beyond the main lobe the others' envelope."""
    x = np.abs(np.arange(-_REACH * _FINE, _REACH * _FINE + 1) / _FINE)
    one = x == 1
    away = np.where(one, 0, x)
    main = np.where(one, 0.25, (np.sinc(away) / (1 - away**2)) ** 2)
    skirt = 0.5 / (np.pi * np.maximum(x, 1.5) * (np.maximum(x, 1.5) ** 2 - 1)) ** 2
    return np.asarray(np.where(x < 1.75, main, np.where(x > 2.5, skirt, np.maximum(main, skirt))), np.float32)


_LOBE = _lobe()
_SLOPE = (np.gradient(_LOBE) * _FINE).astype(np.float32)
_NOISE = np.float32(RATE / 2 * 0.375 * SIZE / (SIZE / 4) ** 2)
"""Power in a bin of noise of density 1 a Hz, of a tone's of amplitude 1 at its peak."""
_AT = np.clip(np.interp(np.arange(BINS) * BIN, BAND_CENTRES, np.arange(BANDS)), 0, BANDS - 1.001)
_BAND, _PART = _AT.astype(np.int64), (_AT % 1).astype(np.float32)


class Spectrum:
    """What features are expected to look like."""

    def __init__(self, heard: Partials) -> None:
        self.slots = slots_for(heard.f0)
        self.f0 = np.float32(heard.f0)
        # The common pitch is as it was heard: where that is said otherwise, it is no matter of offsets.
        common = heard.f0 / BIN * np.exp2(heard.deviation / 1200)[:, None]
        self.harmonics = (np.arange(1, self.slots + 1) * common).astype(np.float32)
        power, noise = np.empty((2, len(heard), BINS), np.float32)
        _powers(*self._placed(heard.level, heard.offset, heard.noise), _LOBE, _BAND, _PART, _NOISE, power, noise)
        self.floor = np.float32(power.max() * 10 ** (-DEPTH / 10))
        self.count = max(int((power > self.floor).sum()), 1)
        self.target = 10 * np.log10(np.maximum(power, self.floor))
        self.filled = noise / power

    def _placed(self, level: Floats, offset: Floats, noise: Floats) -> tuple[Floats, Floats, Floats]:
        level, offset = (np.ascontiguousarray(x[:, : self.slots], np.float32) for x in (level, offset))
        return level, self.harmonics + offset * np.float32(self.f0 / BIN), np.ascontiguousarray(noise, np.float32)

    def gradient(
        self, level: Floats, offset: Floats, noise: Floats, first: int, every: int
    ) -> tuple[Floats, Floats, Floats]:  # fmt: skip
        """Of the mean distance in dB over all bins that were heard, by level (frames, SLOTS), offset, and noise (frames, BANDS).

        Of frames first, first + every and so on alone, which stand for the rest.
        """
        by_level, by_offset, by_noise = (np.zeros((len(level), n), np.float32) for n in (SLOTS, SLOTS, BANDS))
        placed = self._placed(level, offset, noise)
        _pulls(
            *placed, self.target, self.filled, self.floor, _LOBE, _SLOPE, _BAND, _PART, _NOISE,
            by_level, by_offset, by_noise, first, every,
        )  # fmt: skip
        share = np.float32(every / self.count)
        return by_level * share, by_offset * (share * np.float32(self.f0 / BIN)), by_noise * share


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _power(level, at, noise, lobe, band, part, gain, power, hiss):  # type: ignore[no-untyped-def]
    """One frame's power and that of its noise (BINS,), of levels (n,) at bins (n,) and noise (BANDS,), all in dB."""
    wide()
    c = np.float32(np.log(10) / 10)
    for b in range(len(power)):
        hiss[b] = gain * np.exp(c * (noise[band[b]] * (1 - part[b]) + noise[band[b] + 1] * part[b]))
        power[b] = hiss[b]
    for k in range(len(level)):
        if 0 <= at[k] <= len(power) - 1:
            a = np.exp(c * level[k])
            start = max(int(at[k]) - _REACH + 1, 0)
            for b in range(start, min(int(at[k]) + _REACH + 1, len(power))):
                power[b] += a * lobe[int((b - at[k] + _REACH) * _FINE + 0.5)]


@numba.njit(nogil=True, cache=True)
def _powers(level, at, noise, lobe, band, part, gain, power, hiss):  # type: ignore[no-untyped-def]
    for t in range(len(level)):
        _power(level[t], at[t], noise[t], lobe, band, part, gain, power[t], hiss[t])


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _pulls(level, at, noise, target, filled, floor, lobe, slope, band, part, gain, by_level, by_offset, by_noise, first, every):  # type: ignore[no-untyped-def]
    wide()
    c = np.float32(np.log(10) / 10)
    power, hiss, pull = np.empty_like(target[0]), np.empty_like(target[0]), np.empty_like(target[0])
    for t in range(first, len(level), every):
        _power(level[t], at[t], noise[t], lobe, band, part, gain, power, hiss)
        for b in range(len(power)):
            pull[b] = 0
            if power[b] > floor:
                width = np.float32(TONE) + np.float32(HISS) * np.sqrt(filled[t, b])
                pull[b] = np.tanh((np.log(power[b]) / c - target[t, b]) / width) / power[b]
                # Noise is not to stand in for tones: that is hiss.
                g = pull[b] * hiss[b] * (filled[t, b] if pull[b] < 0 else np.float32(1))
                by_noise[t, band[b]] += g * (1 - part[b])
                by_noise[t, band[b] + 1] += g * part[b]
        for k in range(level.shape[1]):
            if 0 <= at[t, k] <= len(power) - 1:
                a, up, along = np.exp(c * level[t, k]), np.float32(0), np.float32(0)
                for b in range(max(int(at[t, k]) - _REACH + 1, 0), min(int(at[t, k]) + _REACH + 1, len(power))):
                    i = int((b - at[t, k] + _REACH) * _FINE + 0.5)
                    up += pull[b] * lobe[i]
                    along -= pull[b] * slope[i]
                by_level[t, k] = up * a
                by_offset[t, k] = along * a / c
