"""Details as a bank keeps them, small enough for each of its notes: what is kept of one, and of many as arrays.

Differences of features, as `cosines`, deflated note by note: most values are zero.
Measured on 13 notes of FluidR3: steps of half a dB keep 5.0 kB a note and bring it to 4.12 dB of its recording (log-spectral
distance), 0.3 dB 5.6 kB and 4.05, all cosines and finer steps 8.1 kB and 3.97; the features themselves are at 3.38.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from . import fading, timbre
from .cosines import Bytes, Cosines, spans
from .partials import Floats, Partials, slots_for

LEVEL, NOISE = Cosines((32, 120, 48), 0.35), Cosines((32, 60, 24), 0.75)
BENT = 64
"""Slots whose offsets are kept."""
OFFSET = Cosines((32, 120, 48), np.where(np.arange(BENT) < 8, 0.0005, 0.004).astype(np.float32))
_PITCH = 2
"""Frames per kept value of the common pitch; in half cents."""
PARTS = ("level", "noise", "offset", "attack", "deviation")
"""In the order in which they are kept."""
COLOUR = ("size", "swing", "told")
"""The same."""


def keep(note: Partials, said: timbre.Said) -> dict[str, Bytes]:
    """The difference of a whole note from what was said of it, in bytes, by PARTS; rows of the first three are coefficients.

    Beside them `size`, of the difference in colour in quarters of a dB; `swing`, as in `Detail`, in 32nds; `told`, the colour
    that was said, in dB from -64, zeros where fading has no use for it.
    """
    assert note.attack is not None, "details are of whole notes"
    n = slots_for(note.f0)
    low = max(float(note.level.max()), float(said.level[:, :n].max())) - timbre.DEPTH
    level = np.maximum(note.level, low) - np.maximum(said.level, low)
    level[:, n:] = 0
    hush = low - 50  # over seconds of what dies away at once, noise 30 dB under the faintest partial was heard
    noise = np.maximum(note.noise, hush) - np.maximum(said.noise, hush)
    # An offset is known only where its slot sounds.
    sounding = note.level > low + 10
    offset = np.asarray(((note.offset - said.offset) * sounding)[:, :BENT], np.float32)
    deviation = note.deviation - said.deviation
    told = np.stack([np.maximum(said.level, low)[span, :n].mean(axis=0) for span in spans(len(note))])
    held = spans(len(note))[1]
    counts = np.clip((np.maximum(note.level, said.level)[held, :n] - low - 10) / 40, 0, 1).mean(axis=0)
    size = np.sqrt(counts @ level[held, :n].mean(axis=0) ** 2 / max(float(counts.sum()), 1e-6))
    strange = size > fading.DOUBTED
    return {
        "level": LEVEL.pack(level[:, :n]),
        "noise": NOISE.pack(noise),
        "offset": OFFSET.pack(offset),
        "attack": np.rint((note.attack - said.attack) * 2).clip(-127, 127).astype(np.int8),
        "deviation": np.rint(deviation[::_PITCH] * 2).clip(-127, 127).astype(np.int8),
        "size": np.array([min(127, round(4 * float(size)))], np.int8),
        "swing": np.rint(32 * _swing(note, said, n)).clip(-127, 127).astype(np.int8),
        "told": (np.rint(told + 64).clip(-127, 127) * strange).astype(np.int8),
    }


def _swing(note: Partials, said: timbre.Said, n: int) -> Floats:
    """See `detail.Detail`: sizes that were heard against those that were said, loud partials counting most, as in training."""
    held = spans(len(note))[1]
    level, loudest, peak = note.level[:, :n], note.level[:, :n].max(axis=1, keepdims=True), note.level.max()
    counts = np.clip((np.maximum(level, said.level[:, :n]) - peak + timbre.DEPTH) / 30, 0.02, 1) * 10 ** ((level - loudest) / 40)
    counts = (counts * np.clip((loudest - peak + 70) / 40, 0.05, 1))[held]
    at = timbre.positions(note.f0, timbre.ZONES)[:n]
    low = np.minimum(at.astype(int), timbre.ZONES - 2)
    expected = said.level_sizes[held][:, :, low] * (1 - at + low) + said.level_sizes[held][:, :, low + 1] * (at - low)
    rest = level - said.level[:, :n]
    # Without its course over a quarter of a second.
    total = np.concatenate([np.zeros((1, n)), np.cumsum(rest, axis=0, dtype=np.float64)])
    around = np.arange(len(rest)) - timbre.COURSE // 2
    first, last = (np.clip(at, 0, len(rest)) for at in (around, around + timbre.COURSE))
    rest = rest - (total[last] - total[first]) / (last - first)[:, None]
    out = []
    for order in range(timbre.ORDERS):
        heard = np.abs(np.diff(rest, order, axis=0, prepend=np.repeat(rest[:1], order, axis=0))[held])
        out.append(np.log(((heard * counts).sum() + 1e-3) / ((expected[:, order] * counts).sum() + 1e-3)))
    return np.array(out, np.float32)


def stack(kept: Sequence[Mapping[str, Bytes]], effort: int = 9) -> dict[str, npt.NDArray[np.generic]]:
    """Kept notes as arrays for a bank: `data` and `colours` uint8, of all of them deflated one after another, with `ends` and
    `colours_end`, and `slots` (notes,). effort: of deflating, 1 to 9."""
    data, colours = (
        [zlib.compress(b"".join(k[part].tobytes() for part in parts), effort) for k in kept] for parts in (PARTS, COLOUR)
    )
    return {
        "data": np.frombuffer(b"".join(data), np.uint8),
        "ends": np.cumsum([len(b) for b in data]),
        "slots": np.array([k["level"].shape[1] for k in kept], np.int16),
        "colours": np.frombuffer(b"".join(colours), np.uint8),
        "colours_end": np.cumsum([len(b) for b in colours]),
    }
