"""The spectral autoencoder's task: hear one note of an instrument, say the spectra of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..dsp import spectra, timbre
from ..dsp.spectra import PER_CODE
from ..errors import DataError
from ..nets.spectral import Frames
from ..nets.spectral_config import SpectralConfig, grid
from .loop import Batch
from .recordings import Recorded
from .split import Split

HOP = spectra.HOP * PER_CODE
"""Samples of a code frame."""
DEPTH = 80.0
"""dB under a note's peak; what lies lower is as good as silent."""
CURVE = 8
"""Points over frequency of a change of timbre."""


@dataclass(frozen=True)
class SpectralRecipe:
    """What is asked of the network.

    frames: code frames per crop; pairs: how often the encoder hears another note of the instrument, at most an octave away,
    than the one asked for; onsets: how often a crop begins with its note; augment: how often a note is altered in
    level and timbre; gain, tilt: dB, standard deviations of that; held_pitches: keys of no training note.
    """

    frames: int = 40
    pairs: float = 0.5
    onsets: float = 0.4
    augment: float = 0.5
    gain: float = 6.0
    tilt: float = 5.0
    held_pitches: tuple[int, ...] = (46, 66, 86)


class SpectralTask(Split[Recorded]):
    """Batches from recordings, the loss, and validation on instruments and pitches never trained on."""

    def __init__(self, instruments: Sequence[Recorded], config: SpectralConfig, recipe: SpectralRecipe) -> None:
        if config.form != "frames":
            raise DataError("the published network is imported, not trained here; take the plan spectral-small")
        self.config, self.recipe = config, recipe
        super().__init__(instruments, recipe.held_pitches)

    def module(self) -> torch.nn.Module:
        """The network with its loss."""
        return WithLoss(Frames(self.config))

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` pairs of crops, many at the onset, some around the release."""
        return _collate([self._draw(rng) for _ in range(size)])

    def _draw(self, rng: np.random.Generator) -> dict[str, Any]:
        which = self.one(rng)
        instrument, known = self.instruments[which], self.train_rows[which]
        target = heard = int(rng.choice(known))
        if rng.random() < self.recipe.pairs:
            near = known[np.abs(instrument.index["pitch"][known] - instrument.index["pitch"][target]) <= 12]
            heard = int(rng.choice(near))
        last = instrument.audio.shape[1] // HOP - self.recipe.frames
        first = 0 if rng.random() < self.recipe.onsets else int(rng.integers(last + 1))
        change: npt.NDArray[Any] | float = 0.0
        if rng.random() < self.recipe.augment:
            curve = rng.normal(0, self.recipe.tilt, CURVE).astype(np.float32) @ grid(CURVE)
            change = (curve + rng.normal(0, self.recipe.gain)) / 50
        return self._item(instrument, target, heard, first, change)

    def _item(
        self, instrument: Recorded, target: int, heard: int, first: int, change: npt.NDArray[Any] | float = 0.0
    ) -> dict[str, Any]:
        """One pair as arrays. change: of the level, at each bin, in units of 50 dB."""
        spans = self.recipe.frames * PER_CODE

        def level(note: int) -> npt.NDArray[np.float32]:
            start = first * HOP - spectra.LEAD
            piece = instrument.piece(note, max(start, 0), spans * spectra.HOP + 2 * spectra.LEAD + min(start, 0))
            found = spectra.levels(np.pad(piece, (max(0, -start), 0)), lead=0)
            return np.maximum(found + change, spectra.FLOOR / 50 + 1).astype(np.float32)

        asked = level(target)
        pitch, velocity = (float(instrument.index[k][target]) for k in ("pitch", "velocity"))
        own, its = (float(instrument.index[k][heard]) for k in ("pitch", "velocity"))
        number, comb = spectra.harmonics(pitch)
        fine = spectra.times(spans, first * PER_CODE)
        return {
            "heard": asked if heard == target else level(heard),
            "heard_told": timbre.condition(own, its, fine),
            "told": timbre.condition(pitch, velocity, spectra.code_times(self.recipe.frames, first)),
            "told_fast": timbre.condition(pitch, velocity, fine),
            "number": number,
            "comb": comb,
            "asked": asked,
        }

    @torch.no_grad()
    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        """dB on held-out instruments (themselves), (an octave away), and on held-out pitches of known ones."""
        rng = np.random.default_rng(1)
        items: dict[str, list[dict[str, Any]]] = {"instruments": [], "octave": [], "pitches": []}
        starts = (0, 0, 40, 125 - self.recipe.frames)
        for i in self.held_out:
            for _ in range(max(1, 96 // len(self.held_out))):
                row, first = int(rng.integers(len(i.index))), int(rng.choice(starts))
                items["instruments"].append(self._item(i, row, row, first))
                there = np.flatnonzero(np.abs(i.index["pitch"] - i.index["pitch"][row]) == 12)
                if len(there):
                    items["octave"].append(self._item(i, row, int(rng.choice(there)), first))
        for i in [self.instruments[j] for j in rng.permutation(len(self.instruments))[:96]]:
            held = np.flatnonzero(np.isin(i.index["pitch"], self.recipe.held_pitches))
            if len(held):
                row = int(rng.choice(held))
                items["pitches"].append(self._item(i, row, row, int(rng.choice(starts))))
        figures = {}
        for name, those in items.items():
            parts = [those[at : at + 16] for at in range(0, len(those), 16)]
            if parts:
                figures[name] = sum(float(module(**_collate(p))["loss"]) * len(p) for p in parts) / len(those)
        figures["loss"] = float(np.mean(list(figures.values())))
        return figures


def _collate(items: Sequence[dict[str, Any]]) -> Batch:
    return {k: torch.from_numpy(np.stack([i[k] for i in items])) for k in items[0]}


class WithLoss(torch.nn.Module):
    """The network and what it is judged by: decibels in the bins that are heard."""

    def __init__(self, net: Frames) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, heard: torch.Tensor, heard_told: torch.Tensor, told: torch.Tensor, told_fast: torch.Tensor,
        number: torch.Tensor, comb: torch.Tensor, asked: torch.Tensor,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """The loss in dB, as a scalar; shapes as in `Frames`, asked (batch, 2 n, BINS)."""
        codes = self.net.encode(heard, heard_told)
        if self.training:
            codes = codes + self.net.config.code_noise * torch.randn_like(codes)
        says = self.net.decode(codes, told, told_fast, number, comb).float()
        low = asked.amax(dim=(1, 2), keepdim=True) - DEPTH / 50
        miss = (torch.maximum(says, low) - torch.maximum(asked, low)).abs()
        # A bin counts by how far the louder of truth and guess stands over the floor; a spectrum by its loudest bin.
        weight = ((torch.maximum(asked, says.detach()) - low) * (50 / 40)).clamp(0.02, 1)
        frame = ((asked.amax(dim=2) - low[:, :, 0]) * (50 / 50)).clamp(0.05, 1)
        each = (miss * weight).sum(dim=2) / weight.sum(dim=2).clamp(min=1)
        return {"loss": 50 * (each * frame).sum() / frame.sum()}
