"""Sines in the phases of a recording: what of a note its partials explain, so that the rest can be looked at alone."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
import scipy.fft

from .partials import HOP, RATE, SILENCE, Partials, slots_for

Floats = npt.NDArray[np.float32]


def size_for(f0: float) -> int:
    """Samples of the window in which phases are measured: as that of the analysis of sines."""
    size = int(scipy.fft.next_fast_len(max(int(4 * RATE / f0), 1024), real=True))
    return size + size % 2


def sines(audio: Floats, note: Partials) -> Floats:
    """The note's sines (frames * HOP,) in the phases that they have in `audio`, which reaches half a window over both ends."""
    size, n = size_for(note.f0), slots_for(note.f0)
    cut = np.lib.stride_tricks.sliding_window_view(audio, size)[::HOP][: len(note)]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    spectra = scipy.fft.rfft(cut * window, axis=1)
    common = note.f0 * 2 ** (note.deviation / 1200)
    turns = ((np.arange(1, n + 1) * common[:, None] + note.offset[:, :n] * note.f0) / RATE).astype(np.float32)
    bins = np.clip(np.rint(turns * size), 0, size // 2).astype(np.intp)
    found = np.take_along_axis(spectra, bins, axis=1)
    # The window's middle, not its start, is where the phase is wanted: half a size is half a turn per bin.
    phase = (np.angle(found) / (2 * np.pi) + 0.5 * (bins % 2)).astype(np.float32)
    level = note.level[:, :n]
    amplitude = np.where(level > max(float(level.max()) - 90, SILENCE + 1), 10 ** (level / 20), 0).astype(np.float32)
    out = np.zeros((len(note) + 2) * HOP, np.float32)
    _overlap(amplitude, turns, phase, out)
    return out[HOP:-HOP]


@numba.njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _overlap(amplitude, turns, phase, out):  # type: ignore[no-untyped-def]
    """Add cosines in triangular windows of 2 HOP about each frame; out has one HOP more at both ends."""
    hop = 384
    ramp = np.arange(-hop, hop).astype(np.float32)
    tent = np.float32(1) - np.abs(ramp) / np.float32(hop)
    # As in `partials`: -cos(2 pi x) is a polynomial in |x - round(x)| - 1/4.
    c1, c3, c5 = np.float32(6.28318516), np.float32(-41.341655), np.float32(81.601003)
    c7, c9 = np.float32(-76.549756), np.float32(39.536491)
    for t in range(len(amplitude)):
        chunk = out[t * hop : (t + 2) * hop]
        for k in range(amplitude.shape[1]):
            a = amplitude[t, k]
            if a > 0:
                p, w = phase[t, k], turns[t, k]
                for s in range(2 * hop):
                    x = p + ramp[s] * w
                    x = abs(x - np.floor(x + np.float32(0.5))) - np.float32(0.25)
                    y = x * x
                    chunk[s] -= a * tent[s] * x * (c1 + y * (c3 + y * (c5 + y * (c7 + y * c9))))
