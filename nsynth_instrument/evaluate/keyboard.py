"""Whole keyboards of instruments that are known by every other note: in tune, and even in level?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from ..audio import resample
from ..bank import InstrumentBank
from ..codecs import Codec
from ..codes import Morph
from ..dataset.example import Example
from ..dsp.loudness import RATE as LOUDNESS_RATE
from ..dsp.loudness import loudest
from ..dsp.pitch import cents_off
from ..notes import KEYBOARD, Note
from .bar import Bar, Tell
from .playing import mixes
from .recordings import clear, hear, held_out, instrument_of


def keyboard(codec: Codec, data: Sequence[Example], count: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """All 88 keys of instruments that are known by every other note: how far out of tune, and how even in level."""
    steps, own, semitones, off = [], [], [], []
    unheard = 0
    for name in _even_instruments(data, count, seed):
        loud = _one_velocity([e for e in data if e.instrument_str == name])
        tell(f"88 keys of {name} {loud[0].extra.get('preset_name', '')}")
        heard = [hear(e, codec.rate) for e in loud]
        instrument = instrument_of(codec, heard[::2])
        keys = [Note(p, heard[0].note.velocity) for p in KEYBOARD.pitches]
        sounds = mixes(codec, InstrumentBank.of([instrument]), [(Morph.of({instrument.name: 1.0}), k) for k in keys])
        made = dict(zip(KEYBOARD.pitches, sounds, strict=True))
        cents = np.array([cents_off(a, codec.rate, p) for p, a in made.items()])
        unheard += int(np.isnan(cents).sum())
        off += np.abs(cents[np.isfinite(cents)]).tolist()
        level = {p: loudest(resample(a, codec.rate, LOUDNESS_RATE)) for p, a in made.items()}
        within = [p for p in KEYBOARD.pitches if loud[0].pitch <= p <= loud[-1].pitch]
        semitones += [abs(level[b] - level[a]) for a, b in itertools.pairwise(within)]
        real = {r.note.pitch: loudest(resample(r.audio, codec.rate, LOUDNESS_RATE)) for r in heard}
        pairs = [(a, b) for a, b in itertools.pairwise(sorted(real)) if a in level and b in level]
        own += [abs(real[b] - real[a]) for a, b in pairs]
        steps += [abs(level[b] - level[a]) for a, b in pairs]
    if not steps:
        return
    middle, worst = (float(np.median(off)), float(np.max(off))) if off else (float("nan"), float("nan"))
    silent = (("without a clear pitch", float(unheard)),)
    yield Bar("f0 error over 88 keys, median", "cents", middle, len(off), "0.6", "0.3", middle <= 0.3, silent)
    yield Bar("f0 error over 88 keys, worst", "cents", worst, len(off), "6.5", "2", worst <= 2)
    for which, over, lab in (("mean", 0.5, "1.3"), ("max", 1.5, "5.2")):
        take = np.mean if which == "mean" else np.max
        value, real_value = float(take(steps)), float(take(own))
        yield Bar(
            f"level step between the set's neighbouring keys, {which}", "dB", value, len(steps), lab, f"real + {over}",
            value <= real_value + over, (("real", real_value), ("semitone steps", float(take(semitones)))),
        )  # fmt: skip


def _one_velocity(notes: Sequence[Example]) -> list[Example]:
    """Those of the velocity nearest 100, by key."""
    best = min({n.velocity for n in notes}, key=lambda v: abs(v - 100))
    return sorted((n for n in notes if n.velocity == best and 21 <= n.pitch <= 108), key=lambda n: n.pitch)


def _even_instruments(data: Sequence[Example], count: int, seed: int) -> list[str]:
    """Held-out instruments of twenty keys or more whose middle notes have a clear pitch."""
    by_name: dict[str, list[Example]] = {}
    for e in data:
        if held_out(e):
            by_name.setdefault(e.instrument_str, []).append(e)
    rng, names = np.random.default_rng(seed), sorted(by_name)
    out: list[str] = []
    for i in rng.permutation(len(names)):
        notes = _one_velocity(by_name[names[i]])
        if len(notes) < 20 or len(out) == count:
            continue
        middle = notes[len(notes) // 4 : 3 * len(notes) // 4 : 3]
        if all(map(clear, middle)):
            out.append(names[i])
    return out
