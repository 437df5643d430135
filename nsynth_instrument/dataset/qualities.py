"""The ten qualities of NSynth's notes, estimated from the audio.

The paper's labels were made by hand and learned models (Engel et al. 2017, section 3.1.2, table 1); these are
heuristics that follow the words of that table, with these measures. The level is the RMS in frames of 10 ms, in dB
below the loudest frame; the spectrum is that of the second from 50 ms on, up to 8 kHz; f0 comes from the pitch.

| quality | holds when |
|---|---|
| bright | over 4 % of the energy lies above both 2.5 kHz and 3.5 f0 |
| dark | under 0.3 % of the energy lies above both 400 Hz and 2.5 f0 |
| distortion | 20 or more harmonics within 35 dB of the strongest, steady, and peak over RMS under 10 dB |
| fast_decay | the level before the key is lifted is 20 dB or more under its top |
| long_release | the last quarter second is within 30 dB of the level at key up, itself within 30 dB of the top |
| multiphonic | over 35 % of the energy of spectral peaks is off the harmonics of f0 (and off f0 / 2) |
| nonlinear_env | while held, 100 ms means rise again by 6 dB or more after a fall, or come to 6 dB above the start after 0.5 s |
| percussive | top within 60 ms, 6 dB down by 250 ms, and an onset less tonal than what follows |
| reverb | a steady sound whose release falls evenly, by 10 to 45 dB in its last 0.9 s |
| tempo-synced | the level swings by 6 dB or more, periodically, 1 to 4 times a second |
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from ..audio import Audio
from ..notes import hz
from .example import QUALITIES

_Array = npt.NDArray[np.float64]
_HELD = 300
"""frames of 10 ms until the key is lifted."""
_TOP = 8000.0
"""Hz; what lies above is left out, so that the rate of a set does not change its labels."""


def estimate(audio: Audio, *, rate: int, pitch: int) -> tuple[int, ...]:
    """Ten 0s and 1s in the order of QUALITIES for a note (4 s * rate,) held for 3 s; `rate` in Hz."""
    level = _level(audio, rate)
    f0 = hz(pitch)
    frequency, power = _spectrum(audio[rate // 20 : rate // 20 + rate], rate)
    total = float(power.sum()) + 1e-20
    end, after = float(level[_HELD - 25 : _HELD].mean()), float(level[375:400].mean())
    steady = end > -12
    found = {
        "bright": float(power[frequency > max(2500, 3.5 * f0)].sum()) > 0.04 * total,
        "dark": float(power[frequency > max(400, 2.5 * f0)].sum()) < 0.003 * total,
        "distortion": steady and _harmonics(frequency, power, f0) >= 20 and _crest(audio, rate) < 10,
        "fast_decay": end < -20,
        "long_release": end > -30 and after - end > -30,
        "multiphonic": _off_harmonics(frequency, power, f0) > 0.35,
        "nonlinear_env": _rises_again(level),
        "percussive": _percussive(audio, level, rate),
        "reverb": steady and _falls_evenly(level[310:400]),
        "tempo-synced": _pulses(level),
    }
    return tuple(int(found[name]) for name in QUALITIES)


def _level(audio: Audio, rate: int) -> _Array:
    frame = rate // 100
    blocks = audio[: 400 * frame].reshape(400, frame)
    rms = np.sqrt(np.einsum("ij,ij->i", blocks, blocks).astype(np.float64) / frame)
    return np.asarray(np.maximum(20 * np.log10(rms / (rms.max() + 1e-20) + 1e-20), -80.0))


def _spectrum(audio: Audio, rate: int) -> tuple[_Array, _Array]:
    keep = int(_TOP * len(audio) / rate)
    power = np.abs(np.fft.rfft(audio * _window(len(audio)))[1:keep]).astype(np.float64) ** 2
    frequency: _Array = np.arange(1, len(power) + 1, dtype=np.float64) * rate / len(audio)
    return frequency, power


@functools.lru_cache(maxsize=8)
def _window(frames: int) -> Audio:
    return np.hanning(frames).astype(np.float32)


def _peaks(power: _Array, below: float) -> npt.NDArray[np.int64]:
    """Places of local maxima within `below` dB of the highest."""
    inner = power[1:-1]
    tall = inner > power.max() * 10 ** (-below / 10)
    return np.flatnonzero(tall & (inner > power[:-2]) & (inner >= power[2:])) + 1


def _harmonics(frequency: _Array, power: _Array, f0: float) -> int:
    """How many different harmonics of f0 are within 35 dB of the strongest."""
    at = frequency[_peaks(power, 35.0)] / f0
    nearest = np.round(at)
    return len(np.unique(nearest[(np.abs(at - nearest) < 0.1) & (nearest > 0)]))


def _off_harmonics(frequency: _Array, power: _Array, f0: float) -> float:
    """Share of the peaks' energy that is not at k * f0, with room for stretched partials, nor at f0 / 2."""
    peaks = _peaks(power, 40.0)
    at = frequency[peaks] / f0
    room = np.minimum(0.03 * np.maximum(at, 1) + 2.0 / f0, 0.2)
    on = (np.abs(at - np.round(at)) < room) & (np.round(at) > 0) | (np.abs(at - 0.5) < 0.03)
    return float(power[peaks][~on].sum() / (power[peaks].sum() + 1e-20))


def _crest(audio: Audio, rate: int) -> float:
    """Peak over RMS in dB of the second after 0.5 s."""
    part = audio[rate // 2 : rate + rate // 2]
    return float(20 * np.log10((np.abs(part).max() + 1e-20) / (np.sqrt(np.dot(part, part) / len(part)) + 1e-20)))


def _rises_again(level: _Array) -> bool:
    smooth = level[:_HELD].reshape(30, 10).mean(axis=1)
    low_so_far = np.minimum.accumulate(smooth[int(np.argmax(smooth)) :])
    rise = smooth[int(np.argmax(smooth)) :] - low_so_far
    late = np.argmax(smooth) >= 5 and smooth[:2].max() < smooth.max() - 6
    return bool(late or rise[low_so_far > -50].max(initial=0) > 6)


def _percussive(audio: Audio, level: _Array, rate: int) -> bool:
    top = int(np.argmax(level[:_HELD]))
    if top > 6 or level[25:30].mean() > -6:
        return False
    onset = _flatness(audio[: rate // 20], rate)
    return onset > 2.0 * _flatness(audio[rate // 5 : rate // 5 + rate // 20], rate)


def _flatness(audio: Audio, rate: int) -> float:
    """Geometric over arithmetic mean of the power spectrum: 0 for tones, towards 1 for noise."""
    power = _spectrum(audio, rate)[1] + 1e-12
    return float(np.exp(np.log(power).mean()) / power.mean())


def _falls_evenly(level: _Array) -> bool:
    x = np.arange(len(level))
    slope, start = np.polyfit(x, level, 1)
    fall = -slope * len(level)
    return bool(10 < fall < 45 and np.std(level - (slope * x + start)) < 1.5)


def _pulses(level: _Array) -> bool:
    part = level[30 : _HELD - 10]
    if part.min() < -50:
        return False
    x = np.arange(len(part))
    part = part - np.polyval(np.polyfit(x, part, 2), x)
    if np.percentile(part, 95) - np.percentile(part, 5) < 6:
        return False
    like = np.correlate(part, part, "full")[len(part) - 1 :]
    like = like / (like[0] + 1e-12) * len(part) / np.arange(len(part), 0, -1)
    return bool(like[25:101].max() > 0.7 and like[10:25].min() < 0.3)
