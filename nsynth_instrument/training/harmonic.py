"""The harmonic voice's task: hear one note of an instrument, say another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..dsp import timbre
from ..dsp.partials import ATTACK, BAND_CENTRES, BAND_EDGES, BANDS, HIGHEST, PIECES, QUIETEST, SILENCE, SLOTS, Partials
from ..nets.harmonic import Harmonic, HarmonicConfig
from .features import FRAMES, Analysed
from .loop import Batch
from .split import Split
from .strange import Strange

CROP = 160

CLEAN = -40.0
"""dB re a note's loudest partial; a band of noise that lies lower is as good as free of it (`dsp.hiss`)."""
HISS = 3.0
"""What noise that is said too loud in a clean band costs, of what it costs elsewhere."""


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


@dataclass(frozen=True, eq=False)
class Alteration:
    """One change of a whole sound, applied alike to what is heard and what is asked, so that the codes must carry it.

    curve: gain in dB (points over log frequency); gain: dB, level; floor: dB re 1/Hz of added noise; decay: dB/s by which
    it fades faster than it did.
    """

    curve: npt.NDArray[np.float32]
    gain: float
    floor: float
    decay: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Alteration:
        """A smooth equaliser with tilt, a level, a decay, sometimes a noise floor."""
        knots = np.interp(np.arange(timbre.POINTS), np.linspace(0, timbre.POINTS - 1, 8), rng.normal(0, 4, 8))
        tilt = rng.normal(0, 4) * np.linspace(-1, 1, timbre.POINTS)
        curve = knots + tilt
        floor = rng.uniform(-140, -95) if rng.random() < 0.2 else -300.0
        decay = float(max(0.0, rng.normal(0, 6))) if rng.random() < 0.3 else 0.0
        return cls((curve - max(0, curve.max() - 6)).astype(np.float32), float(rng.uniform(-8, 3)), floor, decay)

    def __call__(self, note: Partials, first: int) -> Partials:
        """The altered note (features of a crop that begins at frame `first`)."""
        fading = -self.decay * timbre.frame_times(len(note), first)[:, None]
        at = np.interp(timbre.positions(note.f0), np.arange(timbre.POINTS), self.curve) + self.gain + fading
        octaves = np.log(BAND_CENTRES / timbre.LOWEST) / np.log(timbre.TOP / timbre.LOWEST)
        grid = np.interp(octaves, np.linspace(0, 1, timbre.POINTS), self.curve)
        level = np.where(note.level > -129, note.level + at.astype(np.float32), note.level)
        noise = 10 * np.log10(10 ** ((note.noise + grid + self.gain + fading) / 10) + 10 ** (self.floor / 10))
        return replace(note, level=np.maximum(level, -130).astype(np.float32), noise=noise.astype(np.float32))


def blend(one: Partials, other: Partials, gain: float) -> Partials:
    """Two notes of one key as one sound, the other `gain` dB up: powers add, and the louder says where a partial lies."""
    level = other.level + np.float32(gain)
    louder = level > one.level
    noise = 10 * np.log10(10 ** (one.noise / 10) + 10 ** ((other.noise + gain) / 10))
    loud = louder[:, :12].mean(axis=1) > 0.5
    return replace(
        one,
        level=np.maximum(10 * np.log10(10 ** (one.level / 10) + 10 ** (level / 10)), SILENCE).astype(np.float32),
        offset=np.where(louder, other.offset, one.offset),
        noise=noise.astype(np.float32),
        deviation=np.where(loud, other.deviation, one.deviation),
        attack=other.attack if loud[: ATTACK // PIECES].mean() > 0.5 else one.attack,
    )


def crossed(one: Partials, other: Partials) -> Partials:
    """The timbre of one note under the envelope of another: a choir that is struck, a piano that swells."""
    here, there = (10 * np.log10((10 ** (n.level / 10)).sum(axis=1, keepdims=True)) for n in (one, other))
    change = np.clip(there - here, -60, 30).astype(np.float32)
    level = np.where(one.level > SILENCE + 1, np.clip(one.level + change, SILENCE, 0), one.level)
    return replace(one, level=level, noise=np.maximum(one.noise + change, QUIETEST), attack=other.attack)


def stilled(note: Partials) -> Partials:
    """A note whose frames are all alike: the mean of its own."""
    level, offset, noise = (np.broadcast_to(x.mean(axis=0), x.shape) for x in (note.level, note.offset, note.noise))
    return replace(note, level=level, offset=offset, noise=noise, deviation=np.zeros_like(note.deviation), attack=None)


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


class WithLoss(torch.nn.Module):
    """The network and what it is judged by: decibels of partials, cents, decibels of noise."""

    widths: torch.Tensor

    outer = ("net.hear", "net.code", "net.say")
    """First and last layers, whose rows are not alike."""

    def __init__(self, net: Harmonic) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("widths", torch.from_numpy(10 * np.log10(np.diff(BAND_EDGES))).float(), persistent=False)

    def forward(
        self, heard: torch.Tensor, heard_told: torch.Tensor, told: torch.Tensor, told_fast: torch.Tensor,
        positions: torch.Tensor, level: torch.Tensor, offset: torch.Tensor, noise: torch.Tensor,
        deviation: torch.Tensor, attack: torch.Tensor, onset: torch.Tensor, peak: torch.Tensor, f0: torch.Tensor,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """Scalars: loss, level (dB), offset, noise (dB), deviation (cents), fluctuation (nats), attack (dB)."""
        codes = self.net.encode(heard, heard_told)
        if self.training:
            codes = codes + self.net.config.code_noise * torch.randn_like(codes)
        raw = self.net.decode(codes, told, told_fast).float()
        cuts = [timbre.POINTS, SLOTS, SLOTS, BANDS, 1, timbre.ORDERS * timbre.ZONES, timbre.ORDERS, PIECES]
        envelope, correction, shifts, bands, cents, levels, pitches, onsets = torch.split(raw, cuts, dim=2)
        says = (_read(envelope, positions) + correction) * 25 - 80
        shifts, bands, cents = shifts * 0.25, bands * 25 - 110, cents[:, :, 0] * 20

        k = torch.arange(1, SLOTS + 1, device=level.device)
        there = (k[None] * f0[:, None] < HIGHEST)[:, None].float()
        peak = peak[:, None, None]
        low = peak - timbre.DEPTH
        loudest = level.amax(dim=2, keepdim=True)
        # Each slot counts by how far the louder of truth and guess stands over the floor; frames by their loudest partial.
        weight = ((torch.maximum(level, says.detach()) - low) / 30).clamp(0.02, 1) * there
        weight = weight / weight.sum(dim=2, keepdim=True).clamp(min=1)
        frame = ((loudest - peak + 70) / 40).clamp(0.05, 1)
        miss = (torch.maximum(says, low) - torch.maximum(level, low)).abs()
        by_level = (miss * weight * frame).sum(dim=2).mean()

        sounding = ((level - loudest + 40) / 40).clamp(0, 1) * ((loudest - peak + 50) / 40).clamp(0, 1) * there
        cents_off: torch.Tensor = ((shifts - offset).abs() * 1731 / k).clamp(max=100)
        # In parts of the slot, in cents (what is heard of low partials), and in bins of 23 Hz (what is heard of high ones).
        bins = ((shifts - offset).abs() * (f0[:, None, None] / 23.4)).clamp(max=2)
        astray = (shifts - offset).abs() * 4 + cents_off * 0.02 + bins * 0.5
        by_offset = (astray * sounding).sum(dim=2).mean()

        hush = peak - 110
        audible = ((torch.maximum(noise, bands.detach()) - hush) / 30).clamp(0.1, 1)
        over = torch.maximum(bands, hush) - torch.maximum(noise, hush)
        # What is heard of noise where there should be none is hiss, of a band too quiet nothing.
        clean = noise + self.widths < peak + CLEAN
        by_noise = (torch.where(clean & (over > 0), HISS * over, over.abs()) * audible).mean()
        steady = ((loudest - peak + 50) / 40).clamp(0, 1)[:, :, 0]
        by_cents = ((cents - deviation).abs().clamp(max=60) * steady).mean()
        # What is faint wavers with the noise around it, which is played beside it: the loud partials tell how the sound does.
        carries = weight * frame * 10 ** ((level - loudest) / 40)
        fluctuation = self._fluctuation(level - says, carries, levels, deviation - cents, steady, pitches, positions)
        by_attack = ((onsets * 20 - attack).abs().mean(dim=2) * onset).sum() / onset.sum().clamp(min=1)
        loss = by_level + by_offset + 0.7 * by_noise + 0.2 * by_cents + 0.1 * fluctuation + 0.1 * by_attack
        return {
            "loss": loss, "level": by_level, "offset": by_offset, "noise": by_noise, "deviation": by_cents,
            "fluctuation": fluctuation, "attack": by_attack,
        }  # fmt: skip

    def _fluctuation(
        self, rest: torch.Tensor, weight: torch.Tensor, levels: torch.Tensor, cents: torch.Tensor, steady: torch.Tensor,
        pitches: torch.Tensor, positions: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Laplace likelihood of what the network did not say, of its change and of the change of that, under sizes it must guess.

        Without its course over a quarter of a second: a timbre misjudged is no fluctuation.
        """
        rest, cents = _quick(rest.detach()), _quick(cents.detach()[:, :, None])
        at = positions * ((timbre.ZONES - 1) / (timbre.POINTS - 1))
        total = torch.zeros((), device=rest.device)
        logs = _sizes(levels.clamp(-6, 4), at), pitches.clamp(-6, 6)[:, :, :, None]
        for error, log, w in ((rest, logs[0], weight), (cents, logs[1], steady[:, :, None])):
            for order in range(timbre.ORDERS):
                error = error.diff(dim=1) if order else error
                log_, w_ = log[:, order:, order], w[:, order:]
                total = total + ((error.abs().clamp(max=60) * torch.exp(-log_) + log_) * w_).sum() / w_.sum().clamp(min=1)
        return total


def _sizes(grid: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """(batch, frames, ORDERS * ZONES) read at (batch, SLOTS) positions: (batch, frames, ORDERS, SLOTS)."""
    b, n, _ = grid.shape
    return _read(grid.reshape(b, n * timbre.ORDERS, timbre.ZONES), at).reshape(b, n, timbre.ORDERS, -1)


def _quick(x: torch.Tensor, frames: int = 33) -> torch.Tensor:
    """(batch, frames, n) without its moving mean."""
    mean = torch.nn.functional.avg_pool1d(x.transpose(1, 2), frames, 1, frames // 2, count_include_pad=False)
    return x - mean.transpose(1, 2)


def _read(grid: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """(batch, frames, points) read at (batch, SLOTS) positions by linear interpolation: one product with a band matrix."""
    points = torch.arange(grid.shape[2], device=grid.device)
    matrix = (1 - (positions[:, None, :] - points[None, :, None]).abs()).clamp(min=0)
    return torch.bmm(grid, matrix)
