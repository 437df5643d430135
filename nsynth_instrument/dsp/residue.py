"""What a network draws beside a note's sines, held to the noise that the note's features say it has.

A band of the network is 2 kHz wide, ears and features have 64 (`partials.BAND_EDGES`). Left alone a network says too little
between partials, since it takes what noise there is for doubt of their course, and too much where none are, below the
fundamental: on its own past it can even run away (celli at key 24 rang 20 dB over the recording). When and how things sound
within a band is its own; how loud they are over a quarter of a second is the features', but for the onset, which they blur.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.ndimage

from .additive import overlap_add
from .partials import BAND_CENTRES, BAND_EDGES, BANDS, HOP, RATE, Partials

Floats = npt.NDArray[np.float32]

_SIZE = 1024
"""Samples of a window: the noise of `additive` is shaped in the same."""
_NEAR = 8
"""Frames before and after one over which a band's loudness is taken: of fewer, noise would lose what makes it noise."""
_ONSET = (20.0, 0.02)
"""By how much more than else may sound at the onset, and s in which that fades: in 0.03 s struck notes hissed 0.1 s on."""
_MOST = 20.0
"""dB by which a band is raised at the most: where nothing was drawn, there is nothing to raise."""
_LEAST = -60.0


@cache
def _tables() -> tuple[Floats, Floats, Floats]:
    """The window; power per Hz of each ERB band of the window's bins (bins, BANDS); gains of bins of those (BANDS, bins)."""
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_SIZE) / _SIZE)).astype(np.float32)
    cell = RATE / _SIZE
    at = np.arange(_SIZE // 2 + 1) * cell
    part = np.minimum(at[:, None] + cell / 2, BAND_EDGES[1:]) - np.maximum(at[:, None] - cell / 2, BAND_EDGES[:-1])
    share = np.maximum(part, 0) / np.diff(BAND_EDGES) / (RATE / 2 * np.sum(window**2))
    spread = np.stack([np.interp(at, BAND_CENTRES, one) for one in np.eye(BANDS)])
    return window, share.astype(np.float32), spread.astype(np.float32)


@cache
def _overlap(frames: int) -> Floats:
    """What the squares of that many windows add up to (frames * HOP,)."""
    window = _tables()[0]
    out = np.zeros(frames * HOP + _SIZE, np.float32)
    overlap_add(np.tile(window, (frames, 1)), window, out)
    return out[_SIZE // 2 : -_SIZE // 2]


def held(audio: Floats, note: Partials, amount: float = 1.0) -> Floats:
    """Audio (frames * HOP,) beside the sines of `note`, each of its bands as loud as the note's noise is.

    amount: the temperature at which it was drawn; under 1 it is not raised to more noise than that leaves.
    """
    window, share, spread = _tables()
    frames = len(note)
    cut = np.lib.stride_tricks.sliding_window_view(np.pad(audio, _SIZE // 2), _SIZE)[::HOP][:frames]
    spectra = scipy.fft.rfft(cut * window, axis=1)
    said = np.maximum(10 ** (note.noise / 10), np.float32(1e-20))
    loud = (np.square(spectra.real) + np.square(spectra.imag)) @ share / said
    loud = scipy.ndimage.uniform_filter1d(np.minimum(loud, 1e6), 2 * _NEAR + 1, axis=0, mode="nearest")
    # The lowest bands are narrower than the window can tell apart.
    loud = np.maximum(scipy.ndimage.uniform_filter1d(loud, 3, axis=1, mode="nearest"), np.float32(1e-9))
    seconds = np.arange(frames)[:, None] * (HOP / RATE)
    most = max(1.0, amount**2) * (1 + _ONSET[0] * np.exp(-seconds / _ONSET[1])) ** 2
    gain = np.clip(10 * np.log10(np.clip(loud, amount**2, most) / loud), _LEAST, _MOST).astype(np.float32)
    shaped = scipy.fft.irfft(spectra * 10 ** (gain @ spread / 20), _SIZE, axis=1)
    out = np.zeros(frames * HOP + _SIZE, np.float32)
    overlap_add(shaped, window, out)
    return _audible(out[_SIZE // 2 : -_SIZE // 2] / _overlap(frames))


def _audible(audio: Floats) -> Floats:
    """Without what no window tells from its lowest bin, and no ear hears: on its own past a network can drift off zero."""
    spectrum = scipy.fft.rfft(np.pad(audio, (0, _SIZE)))
    hz = np.arange(len(spectrum)) * (RATE / (len(audio) + _SIZE))
    edge = int(np.searchsorted(hz, BAND_EDGES[0]))
    spectrum[:edge] *= np.sin(np.pi / 2 * hz[:edge] / BAND_EDGES[0]).astype(np.float32) ** 2
    return np.asarray(scipy.fft.irfft(spectrum, len(audio) + _SIZE)[: len(audio)], dtype=np.float32)
