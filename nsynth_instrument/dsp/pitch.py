"""How far a note's fundamental is from where its key says, measured on the sound alone."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import scipy.fft

from .thinning import halvings, thinned

Floats = npt.NDArray[np.float32]

PERIODS = 24
"""Of the nominal pitch in a window: Hann's main lobe is then a sixth of the distance between harmonics."""
HARMONICS = 10
WITHIN = 80.0
"""cents; a partial further than this from its place belongs to another note."""
TONAL = 0.45
"""Least share of the power around harmonics that must lie in their peaks; white noise has about 0.3."""
WINDOWS = 32
"""At most; they overlap by half where fewer do."""
HEARD = 3.0
"""s of a note that are looked at: what NSynth's notes are held."""
SKIP = 0.05
"""s left out at the start, where an attack has no pitch yet."""
SHARPNESS = 7
"""Power of lobes beside the highest by which they share where a partial is."""
MIDDLE = 0.1
"""Share of weight on either side of the median that is averaged, since it jumps where two harmonics weigh alike."""
BLOCK = 1024
_REACH = 2 ** (WITHIN / 1200) - 1


def cents_off(audio: Floats, rate: float, pitch: float) -> float:
    """Deviation in cents of mono audio (frames,) at `rate` Hz from a MIDI pitch in 12-TET at A4 = 440 Hz.

    The middle, near the weighted median, over the first ten harmonics of the frequency of each one's lobe, by reassignment
    (Auger & Flandrin 1995), and of that the mean over time, so that vibrato counts by its middle. Low harmonics weigh more,
    since those of strings are stretched. It moves as the sound does, without jumps, so that a sound can be tuned by it. NaN when
    no pitch within 80 cents stands out: for silence, for noise, and for most other notes; one an octave above is not told apart.
    """
    f0 = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    seconds = max(PERIODS / f0, BLOCK / rate)
    times = thinness(rate, f0)
    audio = audio[min(int(SKIP * rate), len(audio) // 4) :][: int((HEARD + 2 * seconds) * rate)]
    audio, rate = thinned(audio, times), rate / 2**times
    size = min(scipy.fft.next_fast_len(int(seconds * rate), real=True), len(audio))
    if size < 8 * rate / f0:
        return float("nan")
    starts = _starts(len(audio), size, int(HEARD * rate))
    bare = scipy.fft.rfft(np.lib.stride_tricks.sliding_window_view(audio, size)[starts.astype(int)], axis=1)
    cents, weights, peaked, around = _peaks(bare, f0 * size / rate)
    if not cents.shape[1] or peaked <= TONAL * around or around < 1e-12:
        return float("nan")
    off = float(_over_time(cents, weights))
    return off if abs(off) <= WITHIN else float("nan")


def listens(frames: int, rate: float, f0: float, among: float) -> npt.NDArray[np.float64]:
    """How much `cents_off` listens to each frame of `among` Hz (frames,) of a sound: all together 1."""
    seconds = max(PERIODS / f0, BLOCK / rate)
    size, skip = seconds * among, min(SKIP * among, frames / 4)
    starts = _starts(frames - skip, size, HEARD * among)
    inside = (np.arange(frames) + 0.5 - skip - starts[:, None]) / size
    found = (np.sin(np.pi * inside) ** 4 * ((inside > 0) & (inside < 1))).sum(axis=0)
    return np.asarray(found / max(found.sum(), 1e-12))


def _starts(length: float, size: float, most: float) -> npt.NDArray[np.float64]:
    span = max(min(length - size, most), 0.0)
    return np.linspace(0, span, min(WINDOWS, 1 + int(2 * span // size)))


def thinness(rate: float, f0: float) -> int:
    """How often a rate can be halved for `cents_off` to hear all that it looks at."""
    return halvings(rate, (HARMONICS + 0.5) * f0)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _peaks(bare, spacing):  # type: ignore[no-untyped-def]
    """Of unwindowed spectra (windows, bins): cents by which each harmonic's peak is off and what it weighs (windows, harmonics),
    and the powers in their peaks, and around all harmonics. spacing: bins from harmonic to harmonic."""
    windows, bins = bare.shape
    count = 0
    while count < HARMONICS and round((count + 1.5) * spacing) + 3 < bins:
        count += 1
    cents, weights = np.empty((windows, count)), np.empty((windows, count))
    peaked, around = 0.0, 0.0
    top = round((count + 0.5) * spacing) + 3
    power, moment = np.zeros(top), np.zeros(top)
    lobes, moments = np.empty(top), np.empty(top)
    for t in range(windows):
        row = bare[t]
        # Hann's window, and below its slope, are three bins of the bare spectrum. The slope times the conjugate of the windowed
        # spectrum: what is imaginary of it is half a difference.
        power[0] = (0.5 * row[0].real) ** 2
        for b in range(1, top):
            c, d = np.complex64(0.5) * row[b] - np.complex64(0.25) * (row[b - 1] + row[b + 1]), row[b - 1] - row[b + 1]
            power[b] = c.real * c.real + c.imag * c.imag
            moment[b] = 0.25 * (d.real * c.real + d.imag * c.imag)
        for k in range(1, count + 1):
            centre, near = round(k * spacing), max(1, round(k * spacing * _REACH))
            highest = 1e-20
            for b in range(centre - near, centre + near + 1):
                lobes[b] = moments[b] = 0.0
                for i in range(b - 2, b + 3):
                    lobes[b] += power[i]
                    moments[b] += (i - centre) * power[i] + moment[i]
                highest = max(highest, lobes[b])
            peaked += highest
            around += max(power[round((k - 0.5) * spacing) : round((k + 0.5) * spacing) + 1].sum(), highest)
            # All of the lobe says where its middle is, and lobes as high share it: amid noise, bins 50 cents apart take turns to
            # be the highest.
            whole, found = 1e-20, 0.0
            for b in range(centre - near, centre + near + 1):
                share = (lobes[b] / highest) ** SHARPNESS
                whole += share * lobes[b]
                found += share * moments[b]
            cents[t, k - 1] = 1200 * np.log2(max(centre + found / whole, 1e-3) / (k * spacing))
            weights[t, k - 1] = np.sqrt(highest) / k
    return cents, weights, peaked, around


@numba.njit(nogil=True, cache=True)
def _over_time(cents, weights):  # type: ignore[no-untyped-def]
    """The mean of the middle fifth along the second axis, by weight, and of that the weighted mean along the first."""
    total = mean = 0.0
    for t in range(len(cents)):
        order, whole = np.argsort(cents[t]), weights[t].sum()
        low, high, below = (0.5 - MIDDLE) * whole, (0.5 + MIDDLE) * whole, 0.0
        for k in order:
            mean += cents[t, k] * max(0.0, min(below + weights[t, k], high) - max(below, low)) / (2 * MIDDLE)
            below += weights[t, k]
        total += whole
    return mean / total
