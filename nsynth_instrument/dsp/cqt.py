"""The constant-Q transform: frequencies even in pitch, each seen through a window of equally many of its periods.

Brown 1991, "Calculation of a constant Q spectral transform"; made in the frequency domain (Brown & Puckette 1992): a
window's spectrum is narrow, so that each row takes a few products and one short inverse transform, of just the frames asked for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

Complexes = npt.NDArray[np.complex64]
Floats = npt.NDArray[np.float32]

LOBES = 8.0
"""Widths 1 / length of Hann's window to each side of its middle that count: beyond, it is under -70 dB."""


def frequencies(low: float, bins: int, per_octave: int) -> npt.NDArray[np.float64]:
    """Hz of each row, from `low` upwards."""
    return low * 2.0 ** (np.arange(bins) / per_octave)


def cqt(
    audio: Floats, rate: float, *, hop: int, low: float, bins: int, per_octave: int, scale: float = 1.0
) -> Complexes:
    """Complex (bins, frames) of mono audio (samples,) at `rate` Hz; frame n is centred on sample n * hop.

    A sine of amplitude 1 on a row's frequency has magnitude 1 there. scale: of the windows' lengths; 1 gives each row the
    width of its distance to the next. Raises ValueError when a row lies above half the rate.
    """
    centres = frequencies(low, bins, per_octave)
    if centres[-1] >= rate / 2:
        raise ValueError(f"the highest row, {centres[-1]:.0f} Hz, lies above half the rate, {rate / 2:.0f} Hz")
    lengths = scale * rate / (centres * (2.0 ** (1 / per_octave) - 1))
    frames = -(-len(audio) // hop)
    # Silence after the sound as long as the longest window, for what wraps around: the transform is circular.
    count = scipy.fft.next_fast_len(frames + int(np.ceil(lengths[0] / hop)) + 1, real=False)
    size = count * hop
    spectrum = scipy.fft.fft(np.pad(np.asarray(audio, np.float32), (0, size - len(audio))))
    out = np.zeros((bins, frames), np.complex64)
    for row, (centre, length) in enumerate(zip(centres, lengths, strict=True)):
        middle, wide = centre / rate * size, LOBES / length * size
        at = np.arange(int(np.ceil(max(0.0, middle - wide))), int(min(size / 2, middle + wide)) + 1)
        part = spectrum[at] * _hann((at - middle) / size * length)
        # Frames are every hop-th sample: of the spectrum, all that is `count` apart falls together.
        folded = np.bincount(at % count, part.real, count) + 1j * np.bincount(at % count, part.imag, count)
        out[row] = scipy.fft.ifft(folded)[:frames] * (2 / hop)
    return out


def _hann(u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Spectrum of Hann's window of length 1 around 0, 1 in the middle, at frequencies u."""
    below = 1 - u**2
    safe = np.where(np.abs(below) < 1e-6, 1.0, below)
    return np.where(np.abs(below) < 1e-6, 0.5, np.sinc(u) / safe)
