"""What the tests of the engine share: packs to play, messages to send, and an ear for what comes out."""

from __future__ import annotations

from pathlib import Path

import livepacks
import numpy as np
import soundfile

from nsynth_instrument.live.engine import Engine, Settings
from nsynth_instrument.live.samples import Sound, load
from nsynth_instrument.notes import hz
from nsynth_instrument.pack import SamplePack, Zone

RATE = 48000
FLAT = Settings(gain=0.0)


def sounds(root: Path) -> dict[str, Sound]:
    """Packs of tones by what they are for, made in a folder and loaded."""
    third = tuple(range(36, 97, 3))
    makes = {
        "plain": {},
        "sparse": {"pitches": third, "level": 0.3},
        "layers": {"pitches": (60,), "velocities": (25, 50, 75, 100, 127)},
        "morph": {"pitches": (48, 60, 72), "positions": [(0.0,), (0.25,), (0.5,), (1.0,)], "seconds": 3.0, "looped": True},
        "square": {"pitches": (60,), "positions": [(x, y) for y in (0.0, 1.0) for x in (0.0, 1.0)], "seconds": 2.0},
        "looped": {"pitches": third, "looped": True, "level": 0.3, "release": 0.2},
        "foreign": {"pitches": third, "looped": True, "level": 0.3, "rate": 44100},
    }
    return {n: load(livepacks.make(root / n, name=n, **kw), rate=RATE, budget=1 << 30) for n, kw in makes.items()}


def play(engine: Engine, *words: int, seconds: float = 0.0) -> np.ndarray:
    """Send messages, then the sound of the next `seconds`, float32 (frames, 2)."""
    for w in words:
        assert engine.send(w)
    out = np.zeros((round(seconds * engine.rate / 128) * 128, 2), np.float32)
    for i in range(0, max(len(out), 1), 128):
        engine.fill(out[i : i + 128])
    return out


def fill(engine: Engine, blocks: int = 8) -> np.ndarray:
    """The sound of the next blocks of 1024 frames, float32 (frames, 2)."""
    out = np.zeros((1024 * blocks, 2), np.float32)
    engine.fill(out)
    return out


def on(key: int, velocity: int = 100, channel: int = 0) -> int:
    return 0x90 | channel | key << 8 | velocity << 16


def off(key: int, channel: int = 0) -> int:
    return 0x80 | channel | key << 8


def cc(number: int, value: int, channel: int = 0) -> int:
    return 0xB0 | channel | number << 8 | value << 16


def bend(value: int, channel: int = 0) -> int:
    return 0xE0 | channel | (value & 127) << 8 | (value >> 7) << 16


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def pitch(x: np.ndarray, rate: int = RATE) -> float:
    """Frequency in Hz of the strongest partial."""
    n = 1 << 17
    s = np.abs(np.fft.rfft(x * np.hanning(len(x)), n))
    j = int(s[1:-1].argmax()) + 1
    a, b, c = np.log(s[j - 1 : j + 2] + 1e-30)
    return float((j + 0.5 * (a - c) / (a - 2 * b + c)) * rate / n)


def cents(found: float, key: float) -> float:
    return abs(1200 * np.log2(found / hz(key)))


def harmonics(x: np.ndarray, key: int, count: int = 4) -> np.ndarray:
    """Amplitudes of the first partials of a key."""
    t = np.arange(len(x)) / RATE
    w = np.hanning(len(x))
    return np.array([2 * abs(np.sum(x * w * np.exp(-2j * np.pi * (h + 1) * hz(key) * t))) / w.sum() for h in range(count)])


def clicks(x: np.ndarray) -> float:
    """Largest jump: what a third difference leaves of tones far under half the rate is tiny, and of a step is its height."""
    return float(np.abs(np.diff(x, 3, axis=0)).max(initial=0.0))


def write(folder: Path, zones: list[tuple[Zone, np.ndarray]], *, rate: int = RATE, release: float = 0.3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for z, x in zones:
        soundfile.write(folder / z.file, x, rate, subtype="FLOAT")
    positions = tuple(sorted({z.position for z, _ in zones}))
    SamplePack("w", "w", rate, 32, tuple(z for z, _ in zones), release, positions=positions).save(folder)
    return folder


def random_messages(rng: np.random.Generator, count: int) -> list[int]:
    """Anything at all: notes, controllers, programs, bends, pressure, and numbers that are no MIDI."""
    words = []
    for _ in range(count):
        kind = rng.integers(10)
        status = int(rng.integers(0x80, 0xF0)) if kind < 8 else int(rng.integers(0, 256))
        if kind < 4:
            status = int(rng.choice([0x80, 0x90, 0x90])) | int(rng.integers(16))
        words.append(
            status | int(rng.integers(256 if kind > 8 else 128)) << 8 | int(rng.integers(256 if kind > 8 else 128)) << 16
        )
    return words
