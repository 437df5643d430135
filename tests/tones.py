"""Notes made of sines, whose pitch, onset and release are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from nsynth_instrument.dsp.partials import BANDS, SILENCE, SLOTS, Partials

RATE = 48000
Floats = npt.NDArray[np.float32]


def tone(
    pitch: float, *, hold: float = 2.0, release: float = 0.2, before: float = 0.0, after: float = 0.0, decay: float = 0.0,
    harmonics: int = 10, level: float = 0.3, rate: int = RATE,
) -> Floats:  # fmt: skip
    """A blown note, or with `decay` (dB a second) a plucked one, between `before` and `after` s of silence."""
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    t = np.arange(round((hold + release) * rate)) / rate
    wave = sum(np.sin(2 * np.pi * k * f0 * t + k) / k for k in range(1, harmonics + 1) if k * f0 < 0.45 * rate)
    envelope = np.minimum(1, t / 0.01) * 10 ** (-decay * t / 20)
    envelope *= 10 ** (-3 * np.maximum(0, t - hold) / max(release, 1e-3))
    sound = level * wave * envelope / 1.5
    return np.concatenate([np.zeros(round(before * rate)), sound, np.zeros(round(after * rate))]).astype(np.float32)


def save(path: Path, audio: npt.NDArray[np.floating], rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate)
    return path


def falling(f0: float = 220.0, frames: int = 48, noise: float = -300.0) -> Partials:
    """Harmonics falling by 6 dB an octave up to 2 kHz, over noise of one density."""
    level = np.full((frames, SLOTS), SILENCE, np.float32)
    n = int(2000 / f0)
    level[:, :n] = -20 - 20 * np.log10(np.arange(1, n + 1))
    return Partials(
        f0, level, np.zeros((frames, SLOTS), np.float32), np.full((frames, BANDS), noise, np.float32), np.zeros(frames, np.float32)
    )
