"""Detail: what a note has and the network did not say of it, small enough to keep for every note of a bank.

Differences of features, in cosine bases over three spans (onset, sustain, release), the lowest few of each:
fine in the onset, up to some 20 Hz after it. Eight bits a value, deflated note by note: most values are zero.
Measured on 13 notes of FluidR3: steps of half a dB keep 5.0 kB a note and bring it to 4.12 dB of its recording (log-spectral
distance), 0.3 dB 5.6 kB and 4.05, all cosines and finer steps 8.1 kB and 3.97; the features themselves are at 3.38.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.fft

from ..errors import DataError
from . import timbre
from .partials import ATTACK, BANDS, PIECES, SLOTS, Floats, Partials, slots_for

Bytes = npt.NDArray[np.int8]

ONSET = 32
"""Frames of the first span: 256 ms."""
RELEASE = 125
"""Frames of the last span: 1 s."""
_LEVEL = (32, 120, 48)
_NOISE = (32, 60, 24)
_OFFSET = (32, 120, 48)
_STEP_LEVEL = 0.35
_STEP_NOISE = 0.75
_STEP_OFFSET = np.where(np.arange(64) < 8, 0.0005, 0.004).astype(np.float32)
_PITCH = 2
"""Frames per kept value of the common pitch; in half cents."""
_BENT = 64
"""Slots whose offsets are kept."""
_PARTS = ("level", "noise", "offset", "attack", "deviation")
"""In the order in which they are kept."""
_DEPTH = 80.0
"""dB under the note's peak at which level no longer counts."""


@dataclass(frozen=True, eq=False)
class Detail:
    """One note's: level (frames, SLOTS) dB, noise (frames, BANDS) dB, offset (frames, SLOTS), deviation (frames,) cents, attack
    (ATTACK,) dB."""

    level: Floats
    noise: Floats
    offset: Floats
    deviation: Floats
    attack: Floats


def spans(frames: int) -> tuple[slice, slice, slice]:
    """Onset, sustain and release of a note of that many frames; its release is its last second."""
    off = max(ONSET + 1, frames - RELEASE)
    return slice(0, ONSET), slice(ONSET, off), slice(off, frames)


def keep(note: Partials, said: timbre.Said) -> dict[str, Bytes]:
    """The difference of a whole note from what was said of it, in bytes, by _PARTS; rows of the first three are coefficients."""
    assert note.attack is not None, "details are of whole notes"
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
        "attack": np.rint((note.attack - said.attack) * 2).clip(-127, 127).astype(np.int8),
        "deviation": np.rint(deviation[::_PITCH] * 2).clip(-127, 127).astype(np.int8),
    }


def stack(kept: Sequence[Mapping[str, Bytes]]) -> dict[str, npt.NDArray[np.generic]]:
    """Kept notes as arrays for a bank: `data` uint8, all of them deflated one after another, `ends` and `slots` (notes,)."""
    blobs = [zlib.compress(b"".join(k[part].tobytes() for part in _PARTS), 9) for k in kept]
    return {
        "data": np.frombuffer(b"".join(blobs), np.uint8),
        "ends": np.cumsum([len(b) for b in blobs]),
        "slots": np.array([k["level"].shape[1] for k in kept], np.int16),
    }


def recall(kept: Mapping[str, npt.NDArray[np.generic]], note: int, frames: int) -> Detail:
    """The detail of one of the notes that were stacked, at `frames` frames: what is held is stretched or shortened.

    Raises DataError where the data is not what `stack` wrote.
    """
    n = int(kept["slots"][note])
    ends = [0, *np.asarray(kept["ends"], np.int64).tolist()]
    shapes = [(sum(_LEVEL), n), (sum(_NOISE), BANDS), (sum(_OFFSET), _BENT), (1, ATTACK)]
    sizes = [a * b for a, b in shapes]
    try:
        blob = np.asarray(kept["data"][ends[note] : ends[note + 1]]).tobytes()
        data = zlib.decompressobj().decompress(blob, sum(sizes) + 60000)
    except zlib.error as e:
        raise DataError(f"the bank's details are damaged ({e}); install or export the model again") from e
    flat = np.frombuffer(data, np.int8)
    if not 1 <= n <= SLOTS or len(flat) <= sum(sizes):
        raise DataError("the bank's details are damaged; install or export the model again")
    parts = np.split(flat, np.cumsum(sizes))
    q_level, q_noise, q_offset, q_attack = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=False))
    level, offset = np.zeros((frames, SLOTS), np.float32), np.zeros((frames, SLOTS), np.float32)
    level[:, :n] = _unpack(q_level, _LEVEL, _STEP_LEVEL, frames)
    offset[:, :_BENT] = _unpack(q_offset, _OFFSET, _STEP_OFFSET, frames)
    pitch = parts[4].astype(np.float32) / 2
    deviation = np.interp(np.linspace(0, len(pitch) - 1, frames), np.arange(len(pitch)), pitch)
    noise = _unpack(q_noise, _NOISE, _STEP_NOISE, frames)
    return Detail(level, noise, offset, deviation.astype(np.float32), q_attack[0].astype(np.float32) / 2)


def add(said: timbre.Said, f0: float, details: Sequence[tuple[Detail, float | Floats]]) -> timbre.Said:
    """What was said, with weighted details added, slot by slot (harmonic by harmonic): lengths must agree.

    A weight is one number, or one for each frame.

    Fluctuation shrinks by the share that the details already tell.
    """
    share = sum(float(np.mean(w)) for _, w in details)
    if not details or share <= 0:
        return said
    n = slots_for(f0)
    level, noise, offset, deviation = said.level.copy(), said.noise.copy(), said.offset.copy(), said.deviation.copy()
    attack = said.attack.copy()
    for d, weight in details:
        each = np.asarray(weight, np.float32)
        w = each[..., None]
        level[:, :n] += w * d.level[:, :n]
        noise += w * d.noise
        offset[:, :n] += w * d.offset[:, :n]
        deviation += each * d.deviation
        attack += np.atleast_1d(each)[: ATTACK // PIECES].mean() * d.attack
    rest = np.float32(np.sqrt(max(0.0, 1 - share**2)))
    offset = np.clip(offset, -0.5, 0.5)
    return timbre.Said(level, offset, noise, deviation, said.level_sizes * rest, said.pitch_sizes * rest, attack)


def _pack(x: Floats, counts: tuple[int, int, int], step: float | Floats) -> Bytes:
    """(frames, n) -> int8 (sum(counts), n): the first cosines of each span, in steps of the mean's size."""
    out = []
    for span, count in zip(spans(len(x)), counts, strict=True):
        part = x[span]
        c = scipy.fft.dct(part, axis=0, norm="ortho")[:count] / np.sqrt(len(part))
        out.append(np.pad(c, ((0, count - len(c)), (0, 0))))
    return np.rint(np.concatenate(out) / step).clip(-127, 127).astype(np.int8)


def _unpack(q: Bytes, counts: tuple[int, int, int], step: float | Floats, frames: int) -> Floats:
    x = np.zeros((frames, q.shape[1]), np.float32)
    at = 0
    for span, count in zip(spans(frames), counts, strict=True):
        length = span.stop - span.start
        c = np.zeros((length, q.shape[1]), np.float32)
        c[: min(count, length)] = np.asarray(q[at : at + min(count, length)], np.float32) * step * np.sqrt(length)
        x[span] = scipy.fft.idct(c, axis=0, norm="ortho")
        at += count
    return x


def read_at(detail: Detail, at: Floats) -> Detail:
    """The detail as it is at other places: `at` in its frames, (frames,), between frames by linear interpolation."""
    low = np.clip(at.astype(int), 0, max(0, len(detail.level) - 2))
    high = np.minimum(low + 1, len(detail.level) - 1)
    part = np.clip(at - low, 0, 1).astype(np.float32)
    two = part[:, None]
    level, noise, offset = (x[low] * (1 - two) + x[high] * two for x in (detail.level, detail.noise, detail.offset))
    deviation = detail.deviation[low] * (1 - part) + detail.deviation[high] * part
    return replace(detail, level=level, noise=noise, offset=offset, deviation=deviation)
