"""A pseudo-quadrature mirror filter bank: audio as `bands` signals at 1/`bands` of its rate, and back.

Cosine-modulated Kaiser prototype (Nguyen 1994; Yu et al. 2019, DurIAN, section 3 for its use in a WaveNet):
one network step then makes `bands` samples. Both ways are centred, so nothing is delayed.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

TAPS = 16
"""Length of the filters in band samples; the reconstruction error is then below -60 dB for 4 bands."""


def analysis(audio: Floats, bands: int) -> Floats:
    """Band signals (batch, samples / bands, bands) of audio (batch, samples); samples is a multiple of `bands`."""
    from scipy.signal import upfirdn

    if audio.shape[1] % bands:
        raise ValueError(f"{audio.shape[1]} samples do not divide into {bands} bands")
    if bands == 1:
        return np.ascontiguousarray(audio[:, :, None], dtype=np.float32)
    steps = audio.shape[1] // bands
    out = [upfirdn(f, audio, down=bands, axis=1)[:, TAPS // 2 :][:, :steps] for f in _filters(bands)[0]]
    return np.stack(out, axis=-1).astype(np.float32)


def synthesis(signals: Floats, bands: int) -> Floats:
    """Audio (batch, steps * bands) of band signals (batch, steps, bands)."""
    from scipy.signal import upfirdn

    if bands == 1:
        return np.ascontiguousarray(signals[:, :, 0])
    samples = signals.shape[1] * bands
    start = TAPS // 2 * bands
    out = np.zeros((len(signals), samples), np.float32)
    for k, f in enumerate(_filters(bands)[1]):
        out += upfirdn(f, signals[:, :, k], up=bands, axis=1)[:, start:][:, :samples]
    return out


@cache
def _filters(bands: int) -> tuple[Floats, Floats]:
    """Filters of analysis and synthesis, both (bands, TAPS * bands + 1), symmetric about TAPS / 2 * bands."""
    from scipy.optimize import minimize_scalar
    from scipy.signal import firwin

    length = TAPS * bands + 1

    def crosstalk(cutoff: float) -> float:
        p = firwin(length, cutoff, window=("kaiser", 9.0))
        r = np.convolve(p, p)
        return float(np.abs(r[length - 1 + 2 * bands :: 2 * bands]).max() / r[length - 1])

    found = minimize_scalar(crosstalk, bounds=(0.4 / bands, 0.8 / bands), method="bounded", options={"xatol": 1e-8})
    prototype = firwin(length, found.x, window=("kaiser", 9.0))
    k = np.arange(bands)[:, None]
    angle = (2 * k + 1) * np.pi / (2 * bands) * (np.arange(length) - length // 2)
    turn = np.where(k % 2 == 0, 1, -1) * np.pi / 4
    forward = 2 * prototype * np.cos(angle + turn)
    back = 2 * bands * prototype * np.cos(angle - turn)
    return forward.astype(np.float32), back.astype(np.float32)
