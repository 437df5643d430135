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
    if audio.shape[1] % bands:
        raise ValueError(f"{audio.shape[1]} samples do not divide into {bands} bands")
    if bands == 1:
        return np.ascontiguousarray(audio[:, :, None], dtype=np.float32)
    reach = TAPS // 2 * bands
    padded = np.pad(np.asarray(audio, np.float32), ((0, 0), (reach, reach)))
    cut = np.lib.stride_tricks.sliding_window_view(padded, TAPS * bands + 1, axis=1)[:, ::bands]
    # The filters are read backwards: this is a convolution.
    return np.stack([row @ np.ascontiguousarray(filters(bands)[0][:, ::-1].T) for row in cut])


def synthesis(signals: Floats, bands: int) -> Floats:
    """Audio (batch, steps * bands) of band signals (batch, steps, bands)."""
    if bands == 1:
        return np.ascontiguousarray(signals[:, :, 0])
    reach = TAPS // 2
    padded = np.pad(np.asarray(signals, np.float32), ((0, 0), (reach, reach), (0, 0)))
    cut = np.lib.stride_tricks.sliding_window_view(padded, TAPS + 1, axis=1)
    return np.stack([(row.reshape(len(row), -1) @ _back(bands)).reshape(-1) for row in cut])


@cache
def _back(bands: int) -> Floats:
    """(bands * (TAPS + 1), bands): what each band sample, from TAPS / 2 steps before to as many after, adds to a step's audio."""
    long = np.pad(filters(bands)[1], ((0, 0), (0, bands - 1)))
    # Band sample d steps before the middle of the window reaches sample r through tap (d + TAPS / 2) bands + r.
    taps = long.reshape(bands, TAPS + 1, bands)[:, ::-1]
    return np.ascontiguousarray(taps.reshape(bands * (TAPS + 1), bands))


@cache
def filters(bands: int) -> tuple[Floats, Floats]:
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
