"""The harmonic voice's task: hear one note of an instrument, say another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..dsp import timbre
from ..dsp.partials import ATTACK, PIECES, Partials
from ..nets.harmonic import Harmonic, HarmonicConfig
from .alteration import Alteration, blend, crossed, stilled
from .features import FRAMES, Analysed
from .harmonic_loss import WithLoss
from .loop import Batch
from .split import Split
from .strange import Strange

CROP = 160


@dataclass(frozen=True)
class Recipe:
    """What is asked of the network.

    pairs: how often the encoder hears another note of the instrument than the one asked for; near: of those,
    how often within an octave; jitter: semitones by which a target's pitch is moved; held_pitches: keys of no
    training note; augment: how often a note is altered; blend: how often two instruments sound as one, or one goes as the
    other does; strange: how often a note is made one of no instrument; still: how often it stands still, so that what does not
    move is known as such.
    """

    pairs: float = 0.5
    near: float = 0.6
    jitter: float = 1.5
    held_pitches: tuple[int, ...] = (46, 66, 86)
    augment: float = 0.5
    blend: float = 0.2
    strange: float = 0.1
    still: float = 0.05


class HarmonicTask(Split[Analysed]):
    """Batches from analysed instruments, the loss, and validation on instruments and pitches never trained on."""

    def __init__(self, instruments: Sequence[Analysed], config: HarmonicConfig, recipe: Recipe) -> None:
        self.config, self.recipe = config, recipe
        super().__init__(instruments, recipe.held_pitches)

    def module(self) -> torch.nn.Module:
        """The network with its loss."""
        return WithLoss(Harmonic(self.config))

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` pairs of crops of CROP frames: 40 % at the onset, 20 % around the release, the rest anywhere."""
        return collate([self._item(rng) for _ in range(size)])

    def _item(self, rng: np.random.Generator) -> dict[str, Any]:
        which = self.one(rng)
        instrument, known = self.instruments[which], self.train_rows[which]
        target = int(rng.choice(known))
        source = self._partner(instrument, known, target, rng) if rng.random() < self.recipe.pairs else target
        u = rng.random()
        first = 0 if u < 0.4 else 340 if u < 0.6 else 4 * int(rng.integers(0, (FRAMES - CROP) // 4 + 1))
        a, b = instrument.note(source, first, CROP), instrument.note(target, first, CROP)
        rows = instrument.index[[source, target]]
        peak = float(rows["peak"][1])
        if rng.random() < self.recipe.blend:
            gain = float(rng.normal(0, 6))
            other = self.one(rng)
            second = self._beside(other, rows[0]) + self._beside(other, rows[1])
            if len(second) == 2:
                there = self.instruments[other]
                mates = [there.note(i, first, CROP) for i in second]
                if rng.random() < 0.7:
                    a, b = (blend(x, mate, gain) for x, mate in zip((a, b), mates, strict=True))
                    peak = max(peak, float(there.index["peak"][second[1]]) + gain)
                else:
                    a, b = (crossed(x, mate) for x, mate in zip((a, b), mates, strict=True))
                    peak = float(there.index["peak"][second[1]])
        if rng.random() < self.recipe.strange:
            strange, before = Strange.draw(rng), float(b.level.max())
            # One note moves in one way, two each in its own.
            seeds = rng.integers(1 << 32, size=2) if source != target else [int(rng.integers(1 << 32))] * 2
            a, b = (
                strange(x, float(row["pitch"]), first, np.random.default_rng(s))
                for x, row, s in zip((a, b), rows, seeds, strict=True)
            )
            peak += float(b.level.max()) - before
        if rng.random() < self.recipe.augment:
            alter = Alteration.draw(rng)
            a, b = alter(a, first), alter(b, first)
            peak += alter.gain
        if rng.random() < self.recipe.still:
            a, b = stilled(a), stilled(b)
        shift = rng.uniform(-self.recipe.jitter, self.recipe.jitter)
        return item(a, rows[0], b, rows[1], first, peak, shift=shift)

    def _beside(self, which: int, row: Any) -> list[int]:
        """The training note of another instrument at the key of `row`, of the nearest velocity; none where it has none there."""
        index, known = self.instruments[which].index, self.train_rows[which]
        here = known[index["pitch"][known] == row["pitch"]]
        return [int(i) for i in here[np.argsort(np.abs(index["velocity"][here].astype(int) - int(row["velocity"])))][:1]]

    def _partner(
        self, instrument: Analysed, known: npt.NDArray[np.intp], target: int, rng: np.random.Generator
    ) -> int:
        if rng.random() < self.recipe.near:
            close = known[np.abs(instrument.index["pitch"][known] - instrument.index["pitch"][target]) <= 12]
            return int(rng.choice(close))
        return int(rng.choice(known))

    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        """Losses on held-out instruments (self), (an octave away), made strange, and on held-out pitches of known ones."""
        rng = np.random.default_rng(1)
        figures: dict[str, float] = {}
        octave, same, pitches = [], [], []
        odd: list[dict[str, Any]] = []
        for i in self.held_out:
            for _ in range(max(1, 96 // max(1, len(self.held_out)))):
                row = int(rng.integers(len(i.index)))
                first = int(rng.choice([0, 0, 120, 340]))
                same.append(_plain(i, row, row, first))
                odd.append(_strange(i, row, first, len(odd)))
                there = np.flatnonzero(np.abs(i.index["pitch"] - i.index["pitch"][row]) == 12)
                there = there[i.index["velocity"][there] == i.index["velocity"][row]]
                if len(there):
                    octave.append(_plain(i, int(rng.choice(there)), row, first))
        for i in [self.instruments[j] for j in rng.choice(len(self.instruments), min(96, len(self.instruments)), replace=False)]:
            held = np.flatnonzero(np.isin(i.index["pitch"], self.recipe.held_pitches))
            if len(held):
                row = int(rng.choice(held))
                pitches.append(_plain(i, row, row, int(rng.choice([0, 0, 120, 340]))))
        for name, items in (("instruments", same), ("octave", octave), ("strange", odd), ("pitches", pitches)):
            sums: dict[str, float] = {}
            for at in range(0, len(items), 16):
                part = items[at : at + 16]
                for k, v in module(**collate(part)).items():
                    sums[k] = sums.get(k, 0.0) + float(v.detach()) * len(part)
            for k in sums:
                figures[f"{name}/{k}"] = sums[k] / len(items)
        figures["loss"] = float(np.mean([v for k, v in figures.items() if k.endswith("/level")]))
        return figures


def _plain(i: Analysed, source: int, target: int, first: int) -> dict[str, Any]:
    a, b = i.note(source, first, CROP), i.note(target, first, CROP)
    return item(a, i.index[source], b, i.index[target], first, float(i.index["peak"][target]))


def _strange(i: Analysed, row: int, first: int, seed: int) -> dict[str, Any]:
    about, rng = i.index[row], np.random.default_rng(seed)
    note = i.note(row, first, CROP)
    made = Strange.draw(rng)(note, float(about["pitch"]), first, rng)
    return item(made, about, made, about, first, float(about["peak"]) + float(made.level.max()) - float(note.level.max()))


def item(a: Partials, row_a: Any, b: Partials, row_b: Any, first: int, peak: float, *, shift: float = 0.0) -> dict[str, Any]:
    """One training pair as arrays: hear `a`, say `b`. `shift` moves the target's pitch in semitones, features and all."""
    frames = len(b)
    fine, coarse = timbre.frame_times(frames, first), timbre.code_times(frames // 4, first // 4)
    f0 = b.f0 * 2 ** (shift / 12)
    pitch = float(row_b["pitch"]) + shift
    velocity = float(row_b["velocity"])
    return {
        "heard": timbre.heard(a),
        "heard_told": timbre.condition(float(row_a["pitch"]), float(row_a["velocity"]), fine),
        "told": timbre.condition(pitch, velocity, coarse),
        "told_fast": timbre.condition(pitch, velocity, fine),
        "positions": timbre.positions(f0),
        "level": b.level,
        "offset": b.offset,
        "noise": b.noise,
        "deviation": b.deviation,
        "attack": timbre.pieces(b.attack, frames),
        "onset": (np.arange(frames) < ATTACK // PIECES if b.attack is not None else np.zeros(frames)).astype(np.float32),
        "peak": np.float32(peak),
        "f0": np.float32(b.f0),
    }


def collate(items: Sequence[dict[str, Any]]) -> Batch:
    """Arrays of items stacked into tensors."""
    return {k: torch.from_numpy(np.stack([i[k] for i in items])) for k in items[0]}
