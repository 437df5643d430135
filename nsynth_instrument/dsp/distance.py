"""How far one sound is from another, in decibels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

Floats = npt.NDArray[np.float32]


def spectrogram(audio: Floats, size: int, hop: int) -> Floats:
    """Magnitudes (frames, size // 2 + 1) of Hann-windowed frames centred on multiples of `hop`."""
    padded = np.pad(np.asarray(audio, np.float32), size // 2)
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    cut = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.asarray(np.abs(scipy.fft.rfft(cut * window, axis=1)), dtype=np.float32)


def log_spectral_distance(reference: Floats, other: Floats, *, size: int = 2048, hop: int = 512, depth: float = 70.0) -> float:
    """Mean absolute difference in dB over all bins where either is within `depth` dB of the reference's peak.

    Both are floored there. Two draws of the same noise are about 6 dB apart: zero is not to be had.
    """
    a, b = spectrogram(reference, size, hop), spectrogram(other, size, hop)
    floor = float(a.max()) * 10 ** (-depth / 20) + 1e-12
    heard = (a > floor) | (b > floor)
    if not heard.any():
        return 0.0
    return float(np.abs(20 * np.log10(np.maximum(a[heard], floor) / np.maximum(b[heard], floor))).mean())


def multi_resolution(reference: Floats, other: Floats) -> float:
    """Spectral convergence plus log-magnitude distance, mean over five window sizes (Yamamoto et al. 2020, section 2.2)."""
    total = 0.0
    for size in (256, 512, 1024, 2048, 4096):
        a, b = spectrogram(reference, size, size // 4), spectrogram(other, size, size // 4)
        floor = 1e-4 * float(a.max()) + 1e-9
        total += float(np.linalg.norm(a - b) / max(float(np.linalg.norm(a)), 1e-9))
        total += float(np.abs(np.log(np.maximum(a, floor) / np.maximum(b, floor))).mean())
    return total / 5
