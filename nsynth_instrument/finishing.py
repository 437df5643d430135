"""Decoded notes as a pack has them: at its rate and length, looped, in tune, measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from . import audio, repitch
from .audio import Audio
from .dsp.loops import bake, find_loops, release_seconds
from .dsp.loudness import RATE, loudest
from .dsp.pitch import cents_off
from .errors import NsynthError
from .notes import Note
from .preset import RenderPlan
from .trajectories import RELEASE

OFF, FAR = 0.25, 0.45
"""Cents that a note alone, and one of several in step, may be off once it is looped, before it is moved by them: a loop has a
part of a note that wavers twice."""
TRIES, STRIDE = 8, 0.8
"""How often at most it is, and by how much of them: another loop may suit it then, and whole ones may lead back and forth."""
JOG = 0.12
"""Cents by which several are moved back and forth besides, for another loop where they are off to both sides alike."""
FADE = 0.05
"""s at the end of a note that are faded."""
FACTS = np.dtype([(name, "f8") for name in ("start", "end", "peak", "cents", "loudness", "release", "shift")])
"""Of a finished note: its loop (-1 without one), peak, cents off, loudness in LUFS, s to fade after its release, and semitones
by which it was moved."""
CENTS = 3
"""Where the cents are among them."""


def finished(
    plan: RenderPlan, note: Note, made: Sequence[Audio], rate: int, moved: Sequence[int]
) -> Iterator[tuple[Audio, tuple[float, ...]]]:
    """A note at its positions, each at the pack's rate and length, moved by semitones, its loop baked in, and FACTS of each."""
    if not all(np.isfinite(a).all() for a in made):
        at = f"key {note.pitch}, velocity {note.velocity}"
        raise NsynthError(f"the model made values that are not numbers at {at}; try another --runtime")
    best = found = _looped(plan, note, made, rate, moved)
    lower = 0.0
    for n in range(TRIES):
        if not _off(best) > (OFF if len(made) == 1 else FAR):
            break
        cents = _cents(found)  # several are in step, and moved alike
        lower += STRIDE * (max(cents) + min(cents)) / 2 + (JOG * (-1) ** n if len(made) > 1 else 0.0)
        found = _looped(plan, note, made, rate, moved, lower)
        best = min(best, found, key=_off)
    yield from best


def _cents(found: Sequence[tuple[Audio, Sequence[float]]]) -> list[float]:
    return [fact[CENTS] for _, fact in found if math.isfinite(fact[CENTS])]


def _off(found: Sequence[tuple[Audio, Sequence[float]]]) -> float:
    return max(map(abs, _cents(found)), default=0.0)


def _looped(
    plan: RenderPlan, note: Note, made: Sequence[Audio], rate: int, moved: Sequence[int], lower: float = 0.0
) -> list[tuple[Audio, tuple[float, ...]]]:
    """See `finished`; lower by some cents."""
    length, hold = round(plan.seconds * plan.rate), plan.seconds - RELEASE
    there = [audio.resample(a, rate * repitch.factor(by - lower / 100), plan.rate) for a, by in zip(made, moved, strict=True)]
    sounds = [audio.fade(audio.fit(a, length), round(FADE * plan.rate)) for a in there]
    loops = find_loops(sounds, plan.rate, note.hz, hold_seconds=hold) if plan.loops else [None] * len(sounds)
    out: list[tuple[Audio, tuple[float, ...]]] = []
    for bare, loop, by in zip(sounds, loops, moved, strict=True):
        sound = bake(bare, loop) if loop else bare
        start, end = (loop.start, loop.end) if loop else (-1, -1)
        release = release_seconds(sound, plan.rate, hold_seconds=hold)
        peak, off = float(np.abs(sound).max()), cents_off(sound, plan.rate, note.pitch)
        out.append((sound, (start, end, peak, off, loudest(audio.resample(sound, plan.rate, RATE)), release, by)))
    return out
