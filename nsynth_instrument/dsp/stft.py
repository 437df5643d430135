"""Short-time spectra and back, Hann-windowed; frames first, bins second."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

Floats = npt.NDArray[np.float32]
Spectra = npt.NDArray[np.complex64]

FULL = 4
"""A sine of amplitude 1 has a magnitude of size / FULL in its bin: half the sum of the window."""


@cache
def window(size: int, *, exact: bool = False) -> npt.NDArray[Any]:
    """Hann's window, periodic (size,); float32, or float64 if `exact`."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float64 if exact else np.float32)


def stft(
    audio: Floats, size: int, hop: int, *, lead: int | None = None, mirror: bool = False, exact: bool = False
) -> Spectra:
    """Complex64 (frames, size // 2 + 1) of audio (samples,).

    lead: samples before the sound that the first frame begins with, size // 2 by default, so that frames are centred on
    multiples of `hop`, 1 + samples // hop of them; with (size - hop) // 2 they are samples // hop. mirror: what lies beyond
    both ends is the sound reflected (librosa before 0.10), else silence; exact: in float64, rounded in the end.
    """
    lead = size // 2 if lead is None else lead
    sound = np.asarray(audio, np.float64 if exact else np.float32)
    padded = np.pad(sound, lead, mode="reflect") if mirror else np.pad(sound, lead)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.asarray(scipy.fft.rfft(frames * window(size, exact=exact), axis=1), dtype=np.complex64)


def istft(spectra: Spectra, hop: int, samples: int, *, lead: int | None = None) -> Floats:
    """Audio (samples,) whose spectra are the nearest to `spectra` (Griffin & Lim 1984, equation 6).

    hop divides the size; `lead` as in `stft`.
    """
    frames, size = len(spectra), 2 * (spectra.shape[1] - 1)
    lead = size // 2 if lead is None else lead
    w = window(size)
    pieces = scipy.fft.irfft(spectra, n=size, axis=1) * w
    out = _overlapped(np.asarray(pieces, np.float32), hop)
    weight = _overlapped(np.broadcast_to(w * w, (frames, size)), hop)
    found = out[lead : lead + samples] / np.maximum(weight[lead : lead + samples], np.float32(1e-8))
    return np.asarray(np.pad(found, (0, max(0, samples - len(found)))), dtype=np.float32)


def _overlapped(pieces: Floats, hop: int) -> Floats:
    """Sum of pieces (frames, size) that begin `hop` apart."""
    frames, size = pieces.shape
    parts = size // hop
    out = np.zeros((frames + parts - 1, hop), np.float32)
    for k in range(parts):
        out[k : k + frames] += pieces[:, k * hop : (k + 1) * hop]
    return out.reshape(-1)
