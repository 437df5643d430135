"""Detail: what a note has and the network did not say of it, small enough to keep for every note of a bank.

Differences of features, in cosine bases over three spans (onset, sustain, release), the lowest few of each:
fine in the onset, up to some 6 Hz after it. What wavers faster is left to fluctuation. Eight bits a value;
levels weigh by what is audible, so that most values are zero and a wheel or a zip packs them well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from . import timbre
from .partials import SLOTS, Floats, Partials, slots_for

Bytes = npt.NDArray[np.int8]

ONSET = 32
"""Frames of the first span: 256 ms."""
RELEASE = 125
"""Frames of the last span: 1 s."""
_LEVEL = (32, 40, 16)
_NOISE = (16, 16, 8)
_OFFSET = (8, 6, 2)
_STEP_LEVEL = 1.0
_STEP_NOISE = 1.5
_STEP_OFFSET = np.where(np.arange(64) < 8, 0.002, 0.016).astype(np.float32)
_PITCH = 2
"""Frames per kept value of the common pitch; in half cents."""
_BENT = 64
"""Slots whose offsets are kept."""
_DEPTH = 80.0
"""dB under the note's peak at which level no longer counts."""


@dataclass(frozen=True, eq=False)
class Detail:
    """One note's: level (frames, SLOTS) dB, noise (frames, BANDS) dB, offset (frames, SLOTS), deviation (frames,) cents."""

    level: Floats
    noise: Floats
    offset: Floats
    deviation: Floats


def spans(frames: int) -> tuple[slice, slice, slice]:
    """Onset, sustain and release of a note of that many frames; its release is its last second."""
    off = max(ONSET + 1, frames - RELEASE)
    return slice(0, ONSET), slice(ONSET, off), slice(off, frames)


def keep(note: Partials, said: timbre.Said) -> dict[str, Bytes]:
    """The difference of a note from what was said of it, in bytes: level, noise, offset (coefficients, slots) and deviation."""
    n = slots_for(note.f0)
    low = max(float(note.level.max()), float(said.level[:, :n].max())) - _DEPTH
    level = np.maximum(note.level, low) - np.maximum(said.level, low)
    level[:, n:] = 0
    hush = low - 30
    noise = np.maximum(note.noise, hush) - np.maximum(said.noise, hush)
    # An offset is known only where its slot sounds.
    sounding = note.level > low + 10
    offset = np.asarray(((note.offset - said.offset) * sounding)[:, :_BENT], np.float32)
    deviation = note.deviation - said.deviation
    return {
        "level": _pack(level[:, :n], _LEVEL, _STEP_LEVEL),
        "noise": _pack(noise, _NOISE, _STEP_NOISE),
        "offset": _pack(offset, _OFFSET, _STEP_OFFSET),
        "deviation": np.rint(deviation[::_PITCH] * 2).clip(-127, 127).astype(np.int8),
    }


def stack(kept: Sequence[dict[str, Bytes]]) -> dict[str, npt.NDArray[np.generic]]:
    """Kept notes side by side: `level` (coefficients, slots of all notes), `slots` (notes,), the rest (notes, ...)."""
    slots = np.array([k["level"].shape[1] for k in kept], np.int16)
    out: dict[str, npt.NDArray[np.generic]] = {"level": np.concatenate([k["level"] for k in kept], axis=1), "slots": slots}
    longest = max(len(k["deviation"]) for k in kept)
    deviation = [np.pad(k["deviation"], (0, longest - len(k["deviation"]))) for k in kept]
    return out | {k: np.stack([one[k] for one in kept]) for k in ("noise", "offset")} | {"deviation": np.stack(deviation)}


def recall(kept: Mapping[str, npt.NDArray[np.generic]], note: int, frames: int) -> Detail:
    """The detail of one of the notes that were stacked, at `frames` frames: what is held is stretched or shortened."""
    slots = np.asarray(kept["slots"], np.int64)
    start, n = int(slots[:note].sum()), int(slots[note])
    level, offset = np.zeros((frames, SLOTS), np.float32), np.zeros((frames, SLOTS), np.float32)
    level[:, :n] = _unpack(kept["level"][:, start : start + n], _LEVEL, _STEP_LEVEL, frames)
    offset[:, :_BENT] = _unpack(kept["offset"][note], _OFFSET, _STEP_OFFSET, frames)
    pitch = np.asarray(kept["deviation"][note], np.float32) / 2
    deviation = np.interp(np.linspace(0, len(pitch) - 1, frames), np.arange(len(pitch)), pitch)
    noise = _unpack(kept["noise"][note], _NOISE, _STEP_NOISE, frames)
    return Detail(level, noise, offset, deviation.astype(np.float32))


def add(said: timbre.Said, f0: float, details: Sequence[tuple[Detail, float]]) -> timbre.Said:
    """What was said, with weighted details added, slot by slot (harmonic by harmonic): lengths must agree.

    Fluctuation shrinks by the share that the details already tell.
    """
    share = sum(w for _, w in details)
    if not details or share <= 0:
        return said
    n = slots_for(f0)
    level, noise, offset, deviation = said.level.copy(), said.noise.copy(), said.offset.copy(), said.deviation.copy()
    for d, weight in details:
        w = np.float32(weight)
        level[:, :n] += w * d.level[:, :n]
        noise += w * d.noise
        offset[:, :n] += w * d.offset[:, :n]
        deviation += w * d.deviation
    rest = np.float32(np.sqrt(max(0.0, 1 - share**2)))
    offset = np.clip(offset, -0.5, 0.5)
    return timbre.Said(
        level, offset, noise, deviation, said.spread * rest, said.flutter, said.sway * rest, said.wobble * rest
    )


def _pack(x: Floats, counts: tuple[int, int, int], step: float | Floats) -> Bytes:
    """(frames, n) -> int8 (sum(counts), n): the first cosines of each span, in steps of the mean's size."""
    out = []
    for span, count in zip(spans(len(x)), counts, strict=True):
        part = x[span]
        c = scipy.fft.dct(part, axis=0, norm="ortho")[:count] / np.sqrt(len(part))
        out.append(np.pad(c, ((0, count - len(c)), (0, 0))))
    return np.rint(np.concatenate(out) / (step / 4)).clip(-127, 127).astype(np.int8)


def _unpack(q: npt.NDArray[np.generic], counts: tuple[int, int, int], step: float | Floats, frames: int) -> Floats:
    x = np.zeros((frames, q.shape[1]), np.float32)
    at = 0
    for span, count in zip(spans(frames), counts, strict=True):
        length = span.stop - span.start
        c = np.zeros((length, q.shape[1]), np.float32)
        c[: min(count, length)] = np.asarray(q[at : at + min(count, length)], np.float32) * (step / 4) * np.sqrt(length)
        x[span] = scipy.fft.idct(c, axis=0, norm="ortho")
        at += count
    return x


