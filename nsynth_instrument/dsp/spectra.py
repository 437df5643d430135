"""Log magnitudes as the spectral autoencoders hear and say them: two forms, one 1024-sample Hann window each 256 samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..notes import hz
from .stft import FULL, stft

Floats = npt.NDArray[np.float32]

RATE = 16000
SIZE = 1024
HOP = 256
BINS = SIZE // 2 + 1
PER_CODE = 2
"""Spectra to a code frame."""
LEAD = (SIZE - HOP) // 2
"""Samples before a sound at which its first spectrum begins: each then answers for HOP samples of its own."""
FLOOR = -100.0
"""dB re a sine of full scale under which nothing is heard."""

HARMONICS = 24
"""Of a key that are numbered; the rest share a number."""
LOBE = -60.0
"""dB: the comb's floor."""
DETUNED = 0.002
"""Of its frequency, by which a partial may lie off its place and still be where the comb has it: 3.5 cents."""

SAMPLES = 64000
"""Of a note of the published network, 4 s: it has no other."""
COLUMNS = 256
"""Spectra that it hears: 251 of a note, then zeros."""
LATENT = 1984
"""Numbers of its z, one vector for a note."""


def levels(audio: Floats, *, lead: int = LEAD) -> Floats:
    """dB / 50 + 1 (samples // 256, 513) of audio (samples,): dB re a sine of full scale. With lead 0 the margins are in it."""
    magnitude = np.abs(stft(audio, SIZE, HOP, lead=lead))
    db = 20 * np.log10(np.maximum(magnitude * np.float32(FULL / SIZE), np.float32(10 ** (FLOOR / 20))))
    return np.asarray(db / 50 + 1, dtype=np.float32)


def magnitudes(level: Floats) -> Floats:
    """What `stft` of such levels would have as magnitudes."""
    return np.asarray(10 ** ((np.minimum(level, 2) - 1) * 2.5) * (SIZE / FULL), dtype=np.float32)


def times(spectra: int, first: int = 0) -> Floats:
    """s of the middles of spectra from `first` on."""
    return ((np.arange(spectra) + first + 0.5) * (HOP / RATE)).astype(np.float32)


def code_times(codes: int, first: int = 0) -> Floats:
    """s of the middles of code frames from `first` on."""
    return ((np.arange(codes) + first + 0.5) * (PER_CODE * HOP / RATE)).astype(np.float32)


def harmonics(pitch: float) -> tuple[Floats, Floats]:
    """Where a key's harmonics lie among the bins: harmonic number (BINS,), 0..HARMONICS + 1, and comb (BINS,) in dB.

    The comb is the lobe of Hann's window around the nearest harmonic, 0 dB on it, not under -60.
    """
    width, f0 = RATE / SIZE, hz(pitch)
    f = np.arange(BINS) * width
    off = np.abs(f - np.maximum(np.rint(f / f0), 1) * f0) - DETUNED * f
    d = np.maximum(off, 0) / width
    d = np.where(np.abs(d - 1) < 1e-4, 1.0001, d)  # the lobe is 0 / 0 there
    lobe = np.abs(np.sinc(d) / (1 - d * d))
    comb = np.where(d < 2, 20 * np.log10(np.maximum(lobe, 1e-6)), LOBE)
    return np.minimum(f / f0, HARMONICS + 1).astype(np.float32), np.maximum(comb, LOBE).astype(np.float32)


def published(audio: Floats) -> tuple[Floats, float]:
    """What the published network hears of a note, (512, 256) in 0..1, and the level in dB of its loudest bin.

    120 dB under that are 0; the Nyquist bin is left out, five columns of zeros fill the time (magenta's utils.py, reader.py).
    """
    fitted = np.pad(audio[:SAMPLES], (0, max(0, SAMPLES - len(audio))))
    power = np.square(np.abs(stft(fitted, SIZE, HOP, mirror=True, exact=True)))
    db = 10 * np.log10(np.maximum(power, np.float32(1e-13)))
    top = float(db.max())
    scaled = np.maximum(db - top, -120) / 120 + 1
    heard = np.zeros((BINS - 1, COLUMNS), np.float32)
    heard[:, : len(scaled)] = scaled[:, :-1].T
    return heard, top
