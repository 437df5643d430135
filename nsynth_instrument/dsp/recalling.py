"""Kept details recalled: the note's own in full, and as much of it as another key shall have."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from . import fading, timbre
from .cosines import Bytes, seamless
from .detail import Detail
from .keeping import BENT, LEVEL, NOISE, OFFSET
from .partials import ATTACK, BAND_CENTRES, BANDS, SLOTS, Floats


def recall(
    kept: Mapping[str, npt.NDArray[np.generic]], note: int, frames: int, away: float = 0.0, told: float = 0.0
) -> Detail:
    """The detail of one of the notes that were stacked, at `frames` frames: what is held is stretched or shortened.

    away: semitones by which the note that shall have it lies higher; it then has of each part as much as `fading` says, and
    noise as much higher; told: how much of that, but for `swing`, is left out, as the other key's own is told instead. Raises
    DataError where the data is not what `keeping.stack` wrote.
    """
    n = int(kept["slots"][note])
    if told >= 1:
        none, swing = np.zeros((frames, 0), np.float32), _colour(kept, note, n)[1] * np.float32(fading.share(fading.SWING, away))
        still, attack = np.zeros(frames, np.float32), np.zeros(ATTACK, np.float32)
        return Detail(none, none, none, still, attack, fading.quick(away), swing=swing)
    ends = [0, *np.asarray(kept["ends"], np.int64).tolist()]
    shapes = [(LEVEL.rows, n), (NOISE.rows, BANDS), (OFFSET.rows, BENT), (1, ATTACK)]
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
    size, swing, colour = _colour(kept, note, n)
    rest = 1 - told
    doubt = rest * fading.doubt(away, size) if colour is not None else 0.0
    fade = fading.shares(fading.LEVEL, away).copy()
    fade[np.cumsum((0, *LEVEL.counts[:2])), 0] = fading.colour(away, size)
    level = LEVEL.unpack(q_level * (rest * fade), frames)
    if away:
        seamless(level)
    offset = OFFSET.unpack(q_offset * (rest * fading.shares(fading.OFFSET, away)), frames)
    pitch = parts[4].astype(np.float32) / 2
    deviation = np.interp(np.linspace(0, len(pitch) - 1, frames), np.arange(len(pitch)), pitch)
    noise = NOISE.unpack(_moved(q_noise, away) * (rest * fading.shares(fading.NOISE, away)), frames)
    deviation *= rest * fading.share(fading.PITCH, away)
    attack = q_attack[0].astype(np.float32) * np.float32(rest * fading.share(fading.ATTACK, away) / 2)
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


def _moved(q: Bytes, away: float) -> Floats:
    """Bands (rows, BANDS) as they are `away` semitones higher."""
    if not away:
        return q.astype(np.float32)
    at = np.interp(BAND_CENTRES * 2 ** (-away / 12), BAND_CENTRES, np.arange(BANDS))
    low = np.minimum(at.astype(int), BANDS - 2)
    part = (at - low).astype(np.float32)
    return np.asarray(q[:, low] * (1 - part) + q[:, low + 1] * part, dtype=np.float32)
