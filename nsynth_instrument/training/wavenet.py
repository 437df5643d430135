"""The WaveNet's task: hear one note of an instrument, say another, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..dsp import mulaw, pqmf
from ..nets.wavenet import WaveNet
from ..nets.wavenet_config import WaveNetConfig
from .loop import Batch
from .recordings import Recorded
from .split import Split

MARGIN = pqmf.TAPS
"""Band steps around a crop that its filters need."""


@dataclass(frozen=True)
class WaveNetRecipe:
    """What is asked of the network.

    frames: code frames per crop; pairs: how often the encoder hears another note of the instrument, at most an octave
    away, than the one asked for; onsets: how often a crop begins with its note; loud: how often, of the rest, it is
    drawn by loudness; gain, spread: dB, mean and standard deviation of a change of level; code_noise: see WaveNet;
    held_pitches: keys of no training note.
    """

    frames: int = 6
    pairs: float = 0.5
    onsets: float = 0.25
    loud: float = 0.8
    gain: float = -4.0
    spread: float = 5.0
    code_noise: float = 0.1
    held_pitches: tuple[int, ...] = (46, 66, 86)


class WaveNetTask(Split[Recorded]):
    """Batches from recordings, the loss, and validation on instruments and pitches never trained on."""

    def __init__(self, instruments: Sequence[Recorded], config: WaveNetConfig, recipe: WaveNetRecipe) -> None:
        self.config, self.recipe = config, recipe
        super().__init__(instruments, recipe.held_pitches)

    def module(self) -> torch.nn.Module:
        """The network; its forward is the loss."""
        return WaveNet(self.config, code_noise=self.recipe.code_noise)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` pairs of crops; most lie where the note sounds, many at its onset."""
        return self._collate([self._item(rng) for _ in range(size)])

    def _item(self, rng: np.random.Generator) -> _Item:
        which = self.one(rng)
        instrument, known = self.instruments[which], self.train_rows[which]
        target = heard = int(rng.choice(known))
        if rng.random() < self.recipe.pairs:
            near = known[np.abs(instrument.index["pitch"][known] - instrument.index["pitch"][target]) <= 12]
            heard = int(rng.choice(near))
        first = 0 if rng.random() < self.recipe.onsets else self._somewhere(instrument.level[target], rng)
        loudest = max(float(np.abs(instrument.audio[i]).max()) for i in (target, heard)) / 32767
        gain = min(10 ** (rng.normal(self.recipe.gain, self.recipe.spread) / 20), 1 / max(loudest, 1e-3))
        return _Item(instrument, target, heard, first, float(gain))

    def _somewhere(self, level: npt.NDArray[np.float32], rng: np.random.Generator) -> int:
        """First frame of a crop, by the square root of its loudness or anywhere."""
        last = len(level) - self.recipe.frames + 1
        if rng.random() > self.recipe.loud:
            return int(rng.integers(last))
        sums = np.convolve(np.sqrt(level), np.ones(self.recipe.frames), mode="valid") + 1e-6
        return int(rng.choice(last, p=sums / sums.sum()))

    @torch.no_grad()
    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        """Nats per band sample on held-out instruments (themselves), (an octave away), and held-out pitches of known ones."""
        rng = np.random.default_rng(1)
        items: dict[str, list[_Item]] = {"instruments": [], "octave": [], "pitches": []}
        for i in [self.held_out[j] for j in rng.permutation(len(self.held_out))[:12]]:
            row = int(rng.integers(len(i.index)))
            first = 0 if rng.random() < 0.4 else self._somewhere(i.level[row], rng)
            items["instruments"].append(_Item(i, row, row, first))
            there = np.flatnonzero(np.abs(i.index["pitch"] - i.index["pitch"][row]) == 12)
            if len(there):
                items["octave"].append(_Item(i, row, int(rng.choice(there)), first))
        for i in [self.instruments[j] for j in rng.permutation(len(self.instruments))[:12]]:
            held = np.flatnonzero(np.isin(i.index["pitch"], self.recipe.held_pitches))
            if len(held):
                row = int(rng.choice(held))
                items["pitches"].append(_Item(i, row, row, 0 if rng.random() < 0.4 else self._somewhere(i.level[row], rng)))
        figures = {}
        for name, those in items.items():
            losses = [(float(module(**self._collate(part))["loss"]), len(part)) for part in _parts(those, 6)]
            if losses:
                figures[name] = sum(v * n for v, n in losses) / sum(n for _, n in losses)
        if not figures:
            raise ValueError("validation needs a held-out instrument or pitch")
        figures["loss"] = float(np.mean(list(figures.values())))
        return figures

    def _collate(self, items: Sequence[_Item]) -> Batch:
        """What WaveNet.forward takes. Bands are made of more audio than the crop, so that its ends are as in the note."""
        bands, steps = self.config.bands, self.recipe.frames * self.config.steps
        margin = MARGIN * bands if bands > 1 else 0

        def classes(which: str) -> npt.NDArray[np.uint8]:
            audio = np.stack([_piece(i, getattr(i, which), i.first * self.config.hop, steps * bands, margin) for i in items])
            signal = pqmf.analysis(audio, bands)[:, margin // bands :][:, :steps]
            return mulaw.encode(signal)

        pitch = np.array([i.instrument.index["pitch"][i.target] for i in items])
        velocity = np.array([i.instrument.index["velocity"][i.target] for i in items])
        target = classes("target")
        same = all(i.target == i.heard for i in items)
        return {
            "heard": torch.from_numpy(mulaw.companded(target if same else classes("heard"))),
            "target": torch.from_numpy(target),
            "side": torch.from_numpy(self.config.conditioning(np.zeros((len(items), 1, 0), np.float32), pitch, velocity)[:, 0]),
        }


@dataclass(frozen=True)
class _Item:
    instrument: Recorded
    target: int
    heard: int
    first: int
    gain: float = 1.0


def _piece(item: _Item, note: int, start: int, samples: int, margin: int) -> npt.NDArray[np.float32]:
    """A crop with a margin on both sides, silence before the note."""
    before = min(margin, start)
    piece = item.instrument.piece(note, start - before, samples + before + margin)
    return np.asarray(np.pad(piece, (margin - before, 0)) * np.float32(item.gain), dtype=np.float32)


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[i : i + size] for i in range(0, len(items), size)]
