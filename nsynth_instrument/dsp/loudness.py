"""How loud a note is to the ear: momentary loudness in LUFS (ITU-R BS.1770-4, EBU Tech 3341)."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

RATE = 48000
"""Hz; the standard gives its filters for this rate."""
WINDOW = 0.4
"""s; the length of a momentary loudness."""
SILENT = -120.0
"""LUFS; what silence is given."""

# BS.1770-4, annex 1, tables 1 and 2: the head's shelf, then the high pass.
_K = np.array(
    [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
)


def loudest(audio: Floats) -> float:
    """Loudness in LUFS of the loudest 0.4 s of mono audio (frames,) at 48 kHz; a shorter sound counts as followed by silence."""
    n = round(WINDOW * RATE)
    most = _loudest(np.pad(audio, (0, max(0, n - len(audio)))), _K, n) / n
    return max(SILENT, -0.691 + 10 * float(np.log10(max(most, 1e-15))))


@numba.njit(nogil=True, cache=True)
def _loudest(audio, filters, n):  # type: ignore[no-untyped-def]
    """The most energy of n neighbours of audio (frames,) through two filters (2, 6), as SciPy has them."""
    a0, a1, a2, _, a3, a4 = filters[0]
    b0, b1, b2, _, b3, b4 = filters[1]
    p = q = r = s = total = most = 0.0
    power = np.empty(len(audio))
    for t in range(len(audio)):
        x = audio[t]
        y = a0 * x + p
        p, q = a1 * x - a3 * y + q, a2 * x - a4 * y
        z = b0 * y + r
        r, s = b1 * y - b3 * z + s, b2 * y - b4 * z
        power[t] = z * z
    for t in range(len(audio)):
        total += power[t] - (power[t - n] if t >= n else 0.0)
        most = max(most, total)
    return most


def gain(hz: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """What the standard's filters do to power at frequencies in Hz, (n,)."""
    back = np.exp(-2j * np.pi * np.minimum(hz, RATE / 2) / RATE)
    powers = back[:, None] ** np.arange(3)
    return np.asarray(np.prod([np.abs((powers @ f[:3]) / (powers @ f[3:])) ** 2 for f in _K], axis=0))


NOMINAL = -18.0
"""LUFS of the loudest 0.4 s of an instrument, note by note on average, at velocity 100: all are equally loud."""


def by_velocity(velocity: float) -> float:
    """dB by which a note of `velocity` is louder than one of 100: amplitude as its square (MIDI DLS 1, General MIDI 2)."""
    return float(40 * np.log10(max(velocity, 1) / 100))
