"""The harmonic voice's inputs and outputs as plain arrays: what its network hears, is told, and says.

Between `Partials` and the network stand fixed maps: an envelope over log frequency in place of partials (so
that a timbre is the same picture at every pitch), bases for pitch, velocity and time, and scales that bring
everything near +-1. Training and playing share them; the network itself is only matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
import numpy.typing as npt

from .curves import exp2
from .partials import ATTACK, BANDS, HOP, PIECES, RATE, SLOTS, Partials, slots_for
from .wide import wide

Floats = npt.NDArray[np.float32]

POINTS = 96
"""Points of the envelope, even in log frequency over LOWEST..20 kHz."""
LOWEST = 27.5
TOP = 20000.0
PER_CODE = 4
"""Frames per code frame."""
HEARD = 48
"""Harmonics whose levels the encoder is given one by one."""
OFFSETS = 64
"""Harmonics whose offsets the encoder is given."""
ZONES = 24
"""Points over log frequency at which fluctuation is described."""

DEPTH = 80.0
"""dB under a note's peak; what lies lower is as good as silent."""

IN = POINTS + BANDS + HEARD + OFFSETS + 1 + PIECES
COURSE = 33
"""Frames, a quarter of a second, over whose mean what a level does is its course, and no fluctuation."""
ORDERS = 3
"""Sizes that describe a fluctuation: of itself, of its change from frame to frame, of the change of that."""
OUT = POINTS + SLOTS + SLOTS + BANDS + 1 + ORDERS * ZONES + ORDERS + PIECES

_GRID = np.geomspace(LOWEST, TOP, POINTS)
_CENTRES = np.linspace(20, 108, 23)
_SPREAD = 4.5
KEY = len(_CENTRES) + 1
FIXED = KEY + 2
COND = FIXED + 10


def positions(f0: float, points: int = POINTS) -> Floats:
    """Where each harmonic of f0 (Hz) lies on a log-frequency grid of `points`, (SLOTS,) in 0..points - 1."""
    f = np.clip(np.arange(1, SLOTS + 1) * f0, LOWEST, TOP)
    return np.asarray(np.log(f / LOWEST) / np.log(TOP / LOWEST) * (points - 1), dtype=np.float32)


@lru_cache(64)
def to_harmonics(f0: float, points: int = POINTS) -> Floats:
    """Matrix (points, SLOTS): a grid over log frequency, read at each harmonic by linear interpolation."""
    near = 1 - np.abs(positions(f0, points)[None, :] - np.arange(points)[:, None])
    return np.asarray(np.maximum(0, near), dtype=np.float32)


def to_envelope(f0: float) -> Floats:
    """Matrix (SLOTS, POINTS): an envelope from levels at harmonics, averaged where they are dense, interpolated where sparse."""
    slots = slots_for(f0)
    at = np.clip(_GRID / f0, 1, slots)
    width = np.maximum(at * np.log(TOP / LOWEST) / (POINTS - 1), 1)
    w = np.maximum(0, 1 - np.abs(np.arange(1, SLOTS + 1)[:, None] - at) / width)
    w[slots:] = 0
    return np.asarray(w / np.maximum(w.sum(axis=0), 1e-6), dtype=np.float32)


def heard(note: Partials, f0: float | None = None) -> Floats:
    """What the encoder hears of a note: (frames, IN)."""
    f0 = note.f0 if f0 is None else f0
    level = (np.maximum(note.level, -120) + 70) / 25
    loud = np.clip((note.level[:, :OFFSETS] + 100) / 40, 0, 1)
    return np.concatenate(
        [
            level @ to_envelope(f0),
            (np.maximum(note.noise, -150) + 110) / 25,
            level[:, :HEARD],
            note.offset[:, :OFFSETS] * 4 * loud,
            (note.deviation / 20)[:, None],
            pieces(note.attack, len(note)) / 20,
        ],
        axis=1,
        dtype=np.float32,
    )


def pieces(attack: Floats | None, frames: int) -> Floats:
    """An attack (ATTACK,) by frames (frames, PIECES); zeros after it, and where there is none."""
    out = np.zeros((max(frames, ATTACK // PIECES), PIECES), np.float32)
    if attack is not None:
        out[: ATTACK // PIECES] = attack.reshape(-1, PIECES)
    return out[:frames]


@lru_cache(256)
def key(pitch: float) -> npt.NDArray[np.float64]:
    """A MIDI pitch (may be fractional) as a network is told it, (KEY,): bases, and a line."""
    p = float(np.clip(pitch, 20, 109))
    return np.concatenate([np.exp(-0.5 * ((p - _CENTRES) / _SPREAD) ** 2), [(p - 64) / 24]])


def condition(pitch: float, velocity: float, seconds: Floats, release: float = 3.0) -> Floats:
    """What the network is told: (len(seconds), COND) for a MIDI pitch (may be fractional), velocity, times in s since the onset.

    Pitch outside the trained keys holds the outermost basis; the partials' places still follow it.
    """
    v = velocity / 127
    out = np.empty((len(seconds), COND), np.float32)
    out[:, :FIXED] = np.concatenate([key(pitch), [v, v * v]])
    out[:, FIXED:] = _moving(np.asarray(seconds, np.float32).tobytes(), release)
    return out


@lru_cache(16)
def _moving(times: bytes, release: float) -> Floats:
    """What is told of moments, (times, COND - FIXED): all notes of a length are told the same."""
    seconds = np.frombuffer(times, np.float32)
    after = np.maximum(seconds - release, 0)
    off = seconds >= release
    moving = [np.exp(-seconds / s) for s in (0.01, 0.03, 0.1, 0.3, 1.0)] + [np.minimum(seconds, release) / 4]
    moving += [np.exp(-after / s) * off for s in (0.02, 0.1, 0.4)] + [off]
    return np.stack(moving, axis=1).astype(np.float32)


def frame_times(frames: int, first: int = 0) -> Floats:
    """Times in s of frames from `first` on."""
    return ((np.arange(frames) + first) * (HOP / RATE)).astype(np.float32)


def code_times(codes: int, first: int = 0) -> Floats:
    """Times in s of the middles of code frames from `first` on."""
    return ((np.arange(codes) + first) * (PER_CODE * HOP / RATE) + 1.5 * HOP / RATE).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Said:
    """The network's words, in units.

    level: dB (frames, SLOTS); offset: of f0 (frames, SLOTS); noise: dB re 1/Hz (frames, BANDS); deviation: cents
    (frames,); level_sizes: mean absolute size in dB (frames, ORDERS, ZONES) of what level does within a quarter of a second
    beyond this, of its change from frame to frame, and of the change of that; pitch_sizes: the same for deviation, in cents
    (frames, ORDERS); attack: dB (ATTACK,), see `Partials`.
    """

    level: Floats
    offset: Floats
    noise: Floats
    deviation: Floats
    level_sizes: Floats
    pitch_sizes: Floats
    attack: Floats


def split(raw: Floats) -> tuple[Floats, ...]:
    """(..., OUT) cut into envelope, correction, offset, noise, deviation, sizes of levels, sizes of pitch, attack."""
    cuts = np.cumsum([POINTS, SLOTS, SLOTS, BANDS, 1, ORDERS * ZONES, ORDERS]).tolist()
    return tuple(np.split(raw, cuts, axis=-1))


def say(raw: Floats, f0: float) -> Said:
    """The network's output (frames, OUT) in units, for a note of f0 Hz."""
    raw = np.asarray(raw, np.float32)
    step = raw.strides[0] // 4 if raw.strides[1] == 4 else 0  # rows may be longer
    flat = np.lib.stride_tricks.as_strided(raw, ((len(raw) - 1) * step + OUT,), (4,)) if step else raw.reshape(-1)
    onset = split(raw)[-1]
    at = positions(f0)
    low = np.minimum(at.astype(np.uint32), np.uint32(POINTS - 2))  # that could not be negative: then there are vectors
    level, offset, sizes = (np.empty((len(raw), n), np.float32) for n in (SLOTS, SLOTS, ORDERS * ZONES + ORDERS))
    noise, deviation = np.empty((len(raw), BANDS), np.float32), np.empty(len(raw), np.float32)
    _say(flat, step or OUT, low, (at - low).astype(np.float32), level, offset, noise, deviation, sizes)
    return Said(
        level, offset, noise, deviation, sizes[:, :-ORDERS].reshape(-1, ORDERS, ZONES), sizes[:, -ORDERS:],
        np.clip(np.resize(onset[: ATTACK // PIECES] * 20, ATTACK), -40, 10),
    )  # fmt: skip


@numba.njit(nogil=True, cache=True, fastmath=True)
def _say(raw, step, low, part, level, offset, noise, deviation, sizes):  # type: ignore[no-untyped-def]
    """All but the attack, to arrays as in `Said` (sizes: of levels, then of pitch)."""
    wide()
    neper = np.float32(np.log2(np.e))
    for t in range(len(level)):
        row = raw[t * step : t * step + OUT]
        correction, bent, hiss = row[POINTS:], row[POINTS + SLOTS :], row[POINTS + 2 * SLOTS :]
        moves = hiss[BANDS + 1 :]
        loud, turned, bands, moved = level[t], offset[t], noise[t], sizes[t]
        for k in range(SLOTS):
            one = row[low[k]]
            loud[k] = (one + (row[low[k] + np.uint32(1)] - one) * part[k] + correction[k]) * np.float32(25) - np.float32(80)
        for k in range(SLOTS):
            turned[k] = min(max(bent[k] * np.float32(0.25), np.float32(-0.5)), np.float32(0.5))
        for b in range(BANDS):
            bands[b] = min(hiss[b] * np.float32(25) - np.float32(110), np.float32(-20))
        deviation[t] = hiss[BANDS] * np.float32(20)
        for k in range(len(moved)):
            most = np.float32(4) if k < ORDERS * ZONES else np.float32(6)
            moved[k] = exp2(neper * min(max(moves[k], np.float32(-6)), most))
