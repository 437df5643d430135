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
from . import fading, timbre
from .partials import ATTACK, BAND_CENTRES, BANDS, PIECES, SLOTS, Floats, Partials, slots_for

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
_COLOUR = ("size", "swing", "told")
"""The same."""
_DEPTH = 80.0
"""dB under the note's peak at which level no longer counts."""
_SEAM = 4
"""Frames over which spans of which other shares are heard meet."""


@dataclass(frozen=True, eq=False)
class Detail:
    """One note's: level (frames, SLOTS) dB, noise (frames, BANDS) dB, offset (frames, SLOTS), deviation (frames,) cents, attack
    (ATTACK,) dB; quick: the share that it has of what moves fast; colour: levels that were said of the known note, means over
    onset, sustain and release in dB (3, n), for another key to have too by `doubt`; None where it is none; swing: logarithms of
    how much more levels moved than was said, and their two differences (ORDERS,).
    """

    level: Floats
    noise: Floats
    offset: Floats
    deviation: Floats
    attack: Floats
    quick: float = 1.0
    colour: Floats | None = None
    doubt: float = 0.0
    swing: Floats | None = None


def spans(frames: int) -> tuple[slice, slice, slice]:
    """Onset, sustain and release of a note of that many frames; its release is its last second."""
    off = max(ONSET + 1, frames - RELEASE)
    return slice(0, ONSET), slice(ONSET, off), slice(off, frames)


def keep(note: Partials, said: timbre.Said) -> dict[str, Bytes]:
    """The difference of a whole note from what was said of it, in bytes, by _PARTS; rows of the first three are coefficients.

    Beside them `size`, of the difference in colour in quarters of a dB; `swing`, as in `Detail`, in 32nds; `told`, the colour
    that was said, in dB from -64, zeros where fading has no use for it.
    """
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
    told = np.stack([np.maximum(said.level, low)[span, :n].mean(axis=0) for span in spans(len(note))])
    held = spans(len(note))[1]
    counts = np.clip((np.maximum(note.level, said.level)[held, :n] - low - 10) / 40, 0, 1).mean(axis=0)
    size = np.sqrt(counts @ level[held, :n].mean(axis=0) ** 2 / max(float(counts.sum()), 1e-6))
    strange = size > fading.DOUBTED
    return {
        "level": _pack(level[:, :n], _LEVEL, _STEP_LEVEL),
        "noise": _pack(noise, _NOISE, _STEP_NOISE),
        "offset": _pack(offset, _OFFSET, _STEP_OFFSET),
        "attack": np.rint((note.attack - said.attack) * 2).clip(-127, 127).astype(np.int8),
        "deviation": np.rint(deviation[::_PITCH] * 2).clip(-127, 127).astype(np.int8),
        "size": np.array([min(127, round(4 * float(size)))], np.int8),
        "swing": np.rint(32 * _swing(note, said, n)).clip(-127, 127).astype(np.int8),
        "told": (np.rint(told + 64).clip(-127, 127) * strange).astype(np.int8),
    }


def stack(kept: Sequence[Mapping[str, Bytes]]) -> dict[str, npt.NDArray[np.generic]]:
    """Kept notes as arrays for a bank: `data` and `colours` uint8, of all of them deflated one after another, with `ends` and
    `colours_end`, and `slots` (notes,)."""
    data, colours = (
        [zlib.compress(b"".join(k[part].tobytes() for part in parts), 9) for k in kept] for parts in (_PARTS, _COLOUR)
    )
    return {
        "data": np.frombuffer(b"".join(data), np.uint8),
        "ends": np.cumsum([len(b) for b in data]),
        "slots": np.array([k["level"].shape[1] for k in kept], np.int16),
        "colours": np.frombuffer(b"".join(colours), np.uint8),
        "colours_end": np.cumsum([len(b) for b in colours]),
    }


def recall(kept: Mapping[str, npt.NDArray[np.generic]], note: int, frames: int, away: float = 0.0) -> Detail:
    """The detail of one of the notes that were stacked, at `frames` frames: what is held is stretched or shortened.

    away: semitones by which the note that shall have it lies higher; it then has of each part as much as `fading` says, and
    noise as much higher. Raises DataError where the data is not what `stack` wrote.
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
    size, swing, colour = _colour(kept, note, n)
    doubt = fading.doubt(away, size) if colour is not None else 0.0
    fade = fading.shares(fading.LEVEL, away).copy()
    fade[np.cumsum((0, *_LEVEL[:2])), 0] = fading.colour(away, size)
    level[:, :n] = _unpack(q_level * fade, _LEVEL, _STEP_LEVEL, frames)
    if away:
        _seamless(level)
    offset[:, :_BENT] = _unpack(q_offset * fading.shares(fading.OFFSET, away), _OFFSET, _STEP_OFFSET, frames)
    pitch = parts[4].astype(np.float32) / 2
    deviation = np.interp(np.linspace(0, len(pitch) - 1, frames), np.arange(len(pitch)), pitch)
    noise = _unpack(_moved(q_noise, away) * fading.shares(fading.NOISE, away), _NOISE, _STEP_NOISE, frames)
    deviation *= fading.share(fading.PITCH, away)
    attack = q_attack[0].astype(np.float32) * np.float32(fading.share(fading.ATTACK, away) / 2)
    swing = swing * np.float32(fading.share(fading.SWING, away))
    return Detail(level, noise, offset, deviation.astype(np.float32), attack, fading.quick(away), colour, doubt, swing)


def _colour(kept: Mapping[str, npt.NDArray[np.generic]], note: int, n: int) -> tuple[float, Floats, Floats | None]:
    """Size of a kept note's own colour in dB, its `Detail.swing`, and the colour that was said of it (3, n) dB; of data that
    knows none of them a middling size, zeros and None. Raises DataError."""
    if "colours" not in kept:
        return 0.5 * (fading.FAMILIAR + fading.STRANGE), np.zeros(timbre.ORDERS, np.float32), None
    first, last = np.concatenate([[0], np.asarray(kept["colours_end"], np.int64)])[note : note + 2]
    try:
        data = zlib.decompressobj().decompress(np.asarray(kept["colours"][first:last]).tobytes(), 4 + 3 * SLOTS)
    except zlib.error as e:
        raise DataError(f"the bank's details are damaged ({e}); install or export the model again") from e
    flat = np.frombuffer(data, np.int8)
    if len(flat) != 1 + timbre.ORDERS + 3 * n:
        raise DataError("the bank's details are damaged; install or export the model again")
    colour = flat[1 + timbre.ORDERS :].reshape(3, n)
    swing = np.asarray(flat[1 : 1 + timbre.ORDERS] / 32, dtype=np.float32)
    return float(flat[0]) / 4, swing, colour.astype(np.float32) - 64 if colour.any() else None


def _swing(note: Partials, said: timbre.Said, n: int) -> Floats:
    """See `Detail`: sizes that were heard against those that were said, loud partials counting most, as in training."""
    held = spans(len(note))[1]
    level, loudest, peak = note.level[:, :n], note.level[:, :n].max(axis=1, keepdims=True), note.level.max()
    counts = np.clip((np.maximum(level, said.level[:, :n]) - peak + _DEPTH) / 30, 0.02, 1) * 10 ** ((level - loudest) / 40)
    counts = (counts * np.clip((loudest - peak + 70) / 40, 0.05, 1))[held]
    at = timbre.positions(note.f0, timbre.ZONES)[:n]
    low = np.minimum(at.astype(int), timbre.ZONES - 2)
    expected = said.level_sizes[held][:, :, low] * (1 - at + low) + said.level_sizes[held][:, :, low + 1] * (at - low)
    rest = level - said.level[:, :n]
    # Without its course over a quarter of a second.
    total = np.concatenate([np.zeros((1, n)), np.cumsum(rest, axis=0, dtype=np.float64)])
    first, last = (np.clip(np.arange(len(rest)) + shift, 0, len(rest)) for shift in (-16, 17))
    rest = rest - (total[last] - total[first]) / (last - first)[:, None]
    out = []
    for order in range(timbre.ORDERS):
        heard = np.abs(np.diff(rest, order, axis=0, prepend=np.repeat(rest[:1], order, axis=0))[held])
        out.append(np.log(((heard * counts).sum() + 1e-3) / ((expected[:, order] * counts).sum() + 1e-3)))
    return np.array(out, np.float32)


def _seamless(x: Floats) -> None:
    """Spans of (frames, n) brought together in place over _SEAM frames to both sides."""
    ramp = (np.arange(_SEAM, dtype=np.float32)[:, None] + 1) / (2 * _SEAM + 1)
    for seam in (s.start for s in spans(len(x))[1:] if s.start + _SEAM <= len(x)):
        gap = x[seam] - x[seam - 1]
        x[seam - _SEAM : seam] += ramp * gap
        x[seam : seam + _SEAM] -= ramp[::-1] * gap


def _likened(level: Floats, detail: Detail, n: int) -> Floats:
    """What makes the colour of levels (frames, SLOTS) that of the known note, as loud as they are, (frames, n) of its slots."""
    assert detail.colour is not None
    low = float(level[:, :n].max()) - _DEPTH
    out = np.zeros((len(level), n), np.float32)
    for span, colour in zip(spans(len(level)), detail.colour, strict=True):
        here = np.maximum(level[span, :n], low).mean(axis=0)
        there = np.maximum(colour[:n] - colour.max() + low + _DEPTH, low)
        louder = 10 * np.log10((10 ** (there / 10)).sum() / (10 ** (here / 10)).sum())
        out[span] = there - here - louder
    _seamless(out)
    return out


def add(said: timbre.Said, f0: float, details: Sequence[tuple[Detail, float | Floats]]) -> timbre.Said:
    """What was said, with weighted details added, slot by slot (harmonic by harmonic): lengths must agree.

    A weight is one number, or one for each frame.

    Fluctuation shrinks by the share that the details already tell.
    """
    if not details:
        return said
    share = sum(float(np.mean(w)) * d.quick for d, w in details)
    n = slots_for(f0)
    level, noise, offset, deviation = said.level.copy(), said.noise.copy(), said.offset.copy(), said.deviation.copy()
    attack, swing = said.attack.copy(), np.zeros(timbre.ORDERS, np.float32)
    for d, weight in details:
        each = np.asarray(weight, np.float32)
        w = each[..., None]
        level[:, :n] += w * d.level[:, :n]
        if d.swing is not None:
            swing += np.float32(each.mean()) * d.swing
        if d.doubt:
            same = min(n, d.colour.shape[1]) if d.colour is not None else 0
            level[:, :same] += np.float32(d.doubt) * w * _likened(said.level, d, same)
        noise += w * d.noise
        offset[:, :n] += w * d.offset[:, :n]
        deviation += each * d.deviation
        attack += np.atleast_1d(each)[: ATTACK // PIECES].mean() * d.attack
    rest = np.float32(np.sqrt(max(0.0, 1 - share**2)))
    offset = np.clip(offset, -0.5, 0.5)
    sizes = said.level_sizes * (rest * np.exp(swing))[:, None]
    return timbre.Said(level, offset, noise, deviation, sizes, said.pitch_sizes * rest, attack)


def _moved(q: Bytes, away: float) -> Floats:
    """Bands (rows, BANDS) as they are `away` semitones higher."""
    if not away:
        return q.astype(np.float32)
    at = np.interp(BAND_CENTRES * 2 ** (-away / 12), BAND_CENTRES, np.arange(BANDS))
    low = np.minimum(at.astype(int), BANDS - 2)
    part = (at - low).astype(np.float32)
    return np.asarray(q[:, low] * (1 - part) + q[:, low + 1] * part, dtype=np.float32)


def _pack(x: Floats, counts: tuple[int, int, int], step: float | Floats) -> Bytes:
    """(frames, n) -> int8 (sum(counts), n): the first cosines of each span, in steps of the mean's size."""
    out = []
    for span, count in zip(spans(len(x)), counts, strict=True):
        part = x[span]
        c = scipy.fft.dct(part, axis=0, norm="ortho")[:count] / np.sqrt(len(part))
        out.append(np.pad(c, ((0, count - len(c)), (0, 0))))
    return np.rint(np.concatenate(out) / step).clip(-127, 127).astype(np.int8)


def _unpack(q: Floats, counts: tuple[int, int, int], step: float | Floats, frames: int) -> Floats:
    x = np.zeros((frames, q.shape[1]), np.float32)
    at = 0
    for span, count in zip(spans(frames), counts, strict=True):
        length = span.stop - span.start
        c = np.zeros((length, q.shape[1]), np.float32)
        c[: min(count, length)] = q[at : at + min(count, length)] * step * np.sqrt(length)
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
