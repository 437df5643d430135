"""How loud a note is to the ear: momentary loudness in LUFS (ITU-R BS.1770-4, EBU Tech 3341)."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from .wide import wide

Floats = npt.NDArray[np.float32]

RATE = 48000
"""Hz; the standard gives its filters for this rate."""
WINDOW = 0.4
"""s; the length of a momentary loudness."""
STEP = 12
"""Frames from one such window to the next."""
LANES, BEFORE = 16, 400 * STEP
"""Stretches of a sound that are filtered side by side, and frames before each: the filters forget all but 1e-10 in these."""
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
    """Loudness in LUFS of the loudest 0.4 s of mono audio (frames,) at 48 kHz, looked for at every STEP-th frame; a shorter sound
    counts as followed by silence."""
    n = round(WINDOW * RATE)
    most = _loudest(np.pad(audio, (0, max(0, n - len(audio)))), _K, n // STEP) / n
    return max(SILENT, -0.691 + 10 * float(np.log10(max(most, 1e-15))))


@numba.njit(nogil=True, cache=True, fastmath=True)
def _loudest(audio, filters, n):  # type: ignore[no-untyped-def]
    """The most energy of n neighbouring STEPs of audio (frames,) through two filters (2, 6), as SciPy has them.

    LANES stretches of it go through side by side, as vectors; each is preceded by what the filters still remember.
    """
    wide()
    a0, a1, a2, _, a3, a4 = filters[0]
    b0, b1, b2, _, b3, b4 = filters[1]
    steps = -(-len(audio) // (LANES * STEP))
    stretch = steps * STEP
    padded = np.zeros(BEFORE + LANES * stretch, np.float32)
    for t in range(len(audio)):
        padded[BEFORE + t] = audio[t]
    # All lanes' frames side by side, some at a time, so that they are in cache.
    moments = np.empty((BEFORE + stretch, LANES), np.float32)
    for first in range(0, len(moments), 64):
        for k in range(LANES):
            for t in range(first, min(first + 64, len(moments))):
                moments[t, k] = padded[k * stretch + t]
    # What the filters remember, and the energy of a step, lane by lane in one array: LLVM sees that these are apart.
    state, energies = np.zeros(5 * LANES), np.empty((LANES, steps))
    for step in range(len(moments) // STEP):
        for t in range(step * STEP, (step + 1) * STEP):
            here = moments[t]
            for k in range(LANES):
                x = here[k]
                y = a0 * x + state[k]
                state[k] = a1 * x - a3 * y + state[LANES + k]
                state[LANES + k] = a2 * x - a4 * y
                z = b0 * y + state[2 * LANES + k]
                state[2 * LANES + k] = b1 * y - b3 * z + state[3 * LANES + k]
                state[3 * LANES + k] = b2 * y - b4 * z
                state[4 * LANES + k] += z * z
        for k in range(LANES):
            energies[k, max(step - BEFORE // STEP, 0)] = state[4 * LANES + k]
            state[4 * LANES + k] = 0.0
    every = energies.reshape(-1)
    total = most = 0.0
    for i in range(len(every)):
        total += every[i] - (every[i - n] if i >= n else 0.0)
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
