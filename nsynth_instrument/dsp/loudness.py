"""How loud a note is to the ear: momentary loudness in LUFS (ITU-R BS.1770-4, EBU Tech 3341)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.signal

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
    weighted = scipy.signal.sosfilt(_K, np.pad(audio, (0, max(0, n - len(audio)))).astype(np.float64))
    power = np.concatenate([[0.0], np.cumsum(weighted**2)])
    most = float((power[n:] - power[:-n]).max()) / n
    return max(SILENT, -0.691 + 10 * float(np.log10(max(most, 1e-15))))


def gain(hz: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """What the standard's filters do to power at frequencies in Hz, (n,)."""
    within = np.minimum(hz, RATE / 2)
    return np.asarray(np.abs(scipy.signal.sosfreqz(_K, within, fs=RATE)[1]) ** 2)


NOMINAL = -18.0
"""LUFS of the loudest 0.4 s of an instrument, note by note on average, at velocity 100: all are equally loud."""


def by_velocity(velocity: float) -> float:
    """dB by which a note of `velocity` is louder than one of 100: amplitude as its square (MIDI DLS 1, General MIDI 2)."""
    return float(40 * np.log10(max(velocity, 1) / 100))
