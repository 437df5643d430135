"""What a loop's seam does to the ear, measured on the audio as it is played."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from .periods import Doubles, Floats, period, thinness, wander
from .thinning import thinned

CENTS = 0.05
"""By which a loop may miss the pitch that it is held against."""
LEAST_DISTANCE = 0.1
"""dB; spectra that differ by less are the same to any ear."""


@dataclass(frozen=True)
class Seam:
    """What a loop's seam does to the ear; measured on the audio as it is played.

    step: |first - last| frame of the loop; largest_step: 8 x the median step inside it, or 2 % of its peak if that is
    more; ripple: dB of level across the seam; cents: looped pitch against the note's; doubt: cents by which that wanders, and
    cannot be told better; distance: dB between the spectra before and after the seam; inside: the same,
    the largest between neighbours inside the loop.
    """

    step: float
    largest_step: float
    ripple: float
    cents: float
    distance: float
    inside: float
    doubt: float = 0.0

    @property
    def excess(self) -> float:
        """The criterion that is nearest to its limit, or furthest beyond, as a fraction of the limit."""
        step, distance = self.step / max(self.largest_step, 1e-9), self.distance / max(self.inside, LEAST_DISTANCE)
        return max(step, distance, self.ripple / 0.5, abs(self.cents) / (CENTS + self.doubt))

    @property
    def seamless(self) -> bool:
        """Whether all four criteria hold."""
        return self.excess <= 1.0


def judge(audio: Floats, rate: int, start: int, end: int, key_hz: float, *, measured: Seam | None = None) -> Seam:
    """The seam of the loop [start, end] in a note (frames,) of the key whose fundamental is `key_hz`.

    A loop's pitch is held against the key's where it keeps to that and the note is not seen to be elsewhere; else against
    the note's own, measured up to the loop's end, with its doubt. measured: against the key's, where that is known already.
    """
    times = thinness(rate, key_hz)
    held, low = thinned(audio[min(start, rate // 2) : end + 1], times), rate / 2**times
    own = low / period(held, low, key_hz)
    off = abs(1200 * math.log2(own / key_hz))
    periods = max(1, round((end + 1 - start) * key_hz / rate))
    looped = 1200 * math.log2(periods * rate / ((end + 1 - start) * key_hz))
    near, doubt = abs(looped) <= CENTS, 0.0
    if not near or off > CENTS:
        doubt = wander(held, low, key_hz, least=off - CENTS if near else math.inf)
    if near and off <= CENTS + doubt:
        return measured or measure(audio, rate, start, end, key_hz)
    return measure(audio, rate, start, end, own, doubt=doubt)


def measure(audio: Floats, rate: int, start: int, end: int, f0_hz: float, *, doubt: float = 0.0) -> Seam:
    """The seam of the loop [start, end] in audio (frames,), as it stands, against a fundamental `f0_hz` with its `doubt`."""
    inside = audio[start : end + 1]
    step = abs(float(inside[0]) - float(inside[-1]))
    largest = max(8 * _median(np.abs(np.diff(inside))), 0.02 * float(np.abs(inside).max()))
    periods = max(1, round(len(inside) * f0_hz / rate))
    cents = 1200 * float(np.log2(periods * rate / (len(inside) * f0_hz)))
    window = min(whole_periods(rate, f0_hz), len(inside) // 2)
    joined = np.concatenate([inside[-window:], inside[:window]]).astype(np.float64)
    before, across, later = (level(joined[i : i + window]) for i in (0, window // 2, window))
    ripple = max(abs(later - before), abs(across - (before + later) / 2))
    spectra = _spectra(inside, rate, window)
    between = np.sqrt(np.mean(np.square(np.diff(spectra, axis=0)), axis=1))
    first, last = _spectra(joined, rate, window)[[0, -1]]
    distance = float(np.sqrt(np.mean(np.square(last - first))))
    return Seam(step, largest, ripple, cents, distance, float(between.max(initial=0.0)), doubt)


def whole_periods(rate: int, f0_hz: float) -> int:
    """Frames of at least 50 ms that are whole periods, so that levels do not waver with the phase."""
    return round(math.ceil(max(0.05 * f0_hz, 2.0)) * rate / f0_hz)


def _median(x: Floats) -> float:
    """Of (n,): by one partition, which NumPy has in vectors; its own median asks for two places, and takes ten times as long."""
    half = len(x) // 2
    parted = np.partition(x, half)
    return float(parted[half]) if len(x) % 2 else 0.5 * (float(parted[:half].max()) + float(parted[half]))


def level(x: Doubles) -> float:
    """dB of the RMS."""
    return 10 * float(np.log10(np.mean(np.square(x)) + 1e-14))


@lru_cache(64)
def _window(frames: int) -> Floats:
    """Hann's."""
    return np.hanning(frames).astype(np.float32)


@lru_cache(64)
def _edges(rate: int, size: int) -> npt.NDArray[np.int_]:
    """Bins of a transform of `size` where third octaves begin."""
    return np.unique(np.round(2 ** np.arange(np.log2(40), np.log2(rate / 2.2), 1 / 3) * size / rate).astype(int))


def _spectra(x: Floats | Doubles, rate: int, window: int) -> Doubles:
    """Levels in dB (windows, bands) of neighbouring windows, in third octaves, floored 60 dB under the loudest."""
    count = len(x) // window
    size = scipy.fft.next_fast_len(window, real=True)
    cut = x[: count * window].reshape(count, window).astype(np.float32) * _window(window)
    spectra = scipy.fft.rfft(cut, size)
    power = np.square(spectra.real) + np.square(spectra.imag)
    bands = np.add.reduceat(power, _edges(rate, size), axis=1)[:, :-1]
    return np.asarray(10 * np.log10(bands + 1e-6 * bands.max() + 1e-20))
