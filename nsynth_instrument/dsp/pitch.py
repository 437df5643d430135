"""How far a note's fundamental is from where its key says, measured on the sound alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

Floats = npt.NDArray[np.float32]

PERIODS = 24
"""Of the nominal pitch in a window: Hann's main lobe is then a sixth of the distance between harmonics."""
HARMONICS = 10
WITHIN = 80.0
"""cents; a partial further than this from its place belongs to another note."""
TONAL = 0.45
"""Least share of the power around harmonics that must lie in their peaks; white noise has about 0.25."""
WINDOWS = 32
"""At most; they overlap by half where fewer do."""
HEARD = 3.0
"""s of a note that are looked at: what NSynth's notes are held."""
SKIP = 0.05
"""s left out at the start, where an attack has no pitch yet."""
BLOCK = 1024


def cents_off(audio: Floats, rate: float, pitch: float) -> float:
    """Deviation in cents of mono audio (frames,) at `rate` Hz from a MIDI pitch in 12-TET at A4 = 440 Hz.

    The weighted median over the first ten harmonics of the frequency of each one's peak, by reassignment (Auger & Flandrin
    1995), and of that the mean over time, so that vibrato counts by its middle. Low harmonics weigh more, since those of
    strings are stretched. NaN when no pitch within 80 cents stands out: for silence, for noise, and for most other notes;
    one an octave above is not told apart.
    """
    f0 = 440.0 * 2.0 ** ((pitch - 69.0) / 12.0)
    audio = audio[min(int(SKIP * rate), len(audio) // 4) :]
    size = min(scipy.fft.next_fast_len(max(int(PERIODS * rate / f0), BLOCK), real=True), len(audio))
    if size < 8 * rate / f0:
        return float("nan")
    span = min(len(audio) - size, int(HEARD * rate))
    starts = np.linspace(0, span, min(WINDOWS, 1 + 2 * span // size)).astype(int)
    bare = scipy.fft.rfft(np.lib.stride_tricks.sliding_window_view(audio, size)[starts], axis=1)
    # Hann's window, and below its slope, are three bins of the bare spectrum.
    spectra = 0.5 * bare
    spectra[:, 1:-1] -= 0.25 * (bare[:, :-2] + bare[:, 2:])
    power = np.square(spectra.real) + np.square(spectra.imag)
    width = rate / size
    rows = np.arange(len(starts))
    cents, weights, peaked, around = [], [], 0.0, 0.0
    for k in range(1, HARMONICS + 1):
        low, centre, high = round((k - 0.5) * f0 / width), round(k * f0 / width), round((k + 0.5) * f0 / width)
        near = max(1, round(k * f0 * (2 ** (WITHIN / 1200) - 1) / width))
        if high + 3 >= power.shape[1]:
            break
        peak = centre - near + np.argmax(power[:, centre - near : centre + near + 1], axis=1)
        lobe = power[rows[:, None], peak[:, None] + np.arange(-2, 3)].sum(axis=1)
        peaked += float(lobe.sum())
        around += float(np.maximum(power[:, low : high + 1].sum(axis=1), lobe).sum())
        top = np.maximum(power[rows, peak], 1e-20)
        slope = (bare[rows, peak - 1] - bare[rows, peak + 1]) / 2j * (np.pi / size)
        found = peak * width - np.imag(slope * np.conj(spectra[rows, peak])) / top * rate / (2 * np.pi)
        cents.append(1200 * np.log2(np.maximum(found, 1e-3) / (k * f0)))
        weights.append(np.sqrt(top) / k)
    if not cents or peaked <= TONAL * around or around < 1e-12:
        return float("nan")
    off = _over_time(np.stack(cents, axis=1), np.stack(weights, axis=1))
    return off if abs(off) <= WITHIN else float("nan")


def _over_time(cents: npt.NDArray[np.floating], weights: npt.NDArray[np.floating]) -> float:
    """The weighted median along the second axis, and of that the weighted mean along the first."""
    order = np.argsort(cents, axis=1)
    total = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    middle = np.argmax(total >= total[:, -1:] / 2, axis=1)
    medians = np.take_along_axis(cents, order, axis=1)[np.arange(len(cents)), middle]
    return float(np.average(medians, weights=total[:, -1]))
