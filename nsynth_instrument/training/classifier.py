"""The classifier's task: hear a note, say its key and its qualities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ..nets.classifier import LONG, PER_STEP, SAMPLES, Classifier, ClassifierConfig, spectrograms
from .loop import Batch
from .recordings import Recorded
from .split import Split

HOP = 512
"""Samples per level that `recordings` keeps; the classifier itself asks for none."""
KNOTS = 10
"""Of an equaliser curve, even over the square root of frequency."""
EACH = 24
"""Notes of each held-out instrument that validate."""

Labels = Mapping[tuple[str, int, int], tuple[int, ...]]


@dataclass(frozen=True)
class ClassifierRecipe:
    """What notes go through before they are heard.

    shift: semitones by which a spectrum is moved, its key with it, half of the time: so that every key is heard of every
    instrument; detune: cents beside that; curve: dB, deviation of an equaliser's knots; floor: how often noise lies under it;
    smoothing: of the keys' labels.
    """

    shift: int = 2
    detune: float = 12.0
    curve: float = 5.0
    floor: float = 0.3
    smoothing: float = 0.05


def labels(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Labels:
    """Qualities of each note of a dataset by instrument, key and velocity; rows: as `features.rows` has them."""
    return {(name, row["pitch"], row["velocity"]): row["qualities"] for name, notes in rows.items() for row in notes}


class ClassifierTask(Split[Recorded]):
    """Batches from recordings, the loss, and validation on instruments never trained on."""

    def __init__(
        self, instruments: Sequence[Recorded], known: Labels, config: ClassifierConfig, recipe: ClassifierRecipe
    ) -> None:
        self.config, self.recipe, self.known = config, recipe, known
        super().__init__(instruments)

    def module(self) -> torch.nn.Module:
        """The network with its loss."""
        return WithLoss(Classifier(self.config), self.recipe)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` notes of random instruments, each with how it shall be altered."""
        chosen = [self.instruments[i] for i in rng.choice(len(self.instruments), size, p=self.odds)]
        rows = [int(rng.integers(len(i.index))) for i in chosen]
        out = self._collate(chosen, rows)
        keys = out["pitch"].numpy()
        moved = rng.integers(-self.recipe.shift, self.recipe.shift + 1, size) * (rng.random(size) < 0.5)
        moved = np.clip(keys + moved, 0, 127) - keys
        cents = rng.normal(0, self.recipe.detune, size)
        out["pitch"] = out["pitch"] + torch.from_numpy(moved)
        out["factor"] = torch.from_numpy((2 ** (moved / 12 + cents / 1200)).astype(np.float32))
        out["curve"] = torch.from_numpy(rng.normal(0, self.recipe.curve, (size, KNOTS)).astype(np.float32))
        floor = np.where(rng.random(size) < self.recipe.floor, 10 ** (rng.uniform(-70, -30, size) / 20), 0)
        noise = rng.standard_normal((size, SAMPLES), dtype=np.float32)
        out["audio"] = out["audio"] + torch.from_numpy(noise * floor[:, None].astype(np.float32)) * _peak(out["audio"])
        return out

    def _collate(self, chosen: Sequence[Recorded], rows: Sequence[int]) -> Batch:
        audio = np.stack([i.piece(r, 0, SAMPLES) for i, r in zip(chosen, rows, strict=True)])
        pitch = np.array([int(i.index["pitch"][r]) for i, r in zip(chosen, rows, strict=True)])
        velocity = [int(i.index["velocity"][r]) for i, r in zip(chosen, rows, strict=True)]
        quality = [self.known[i.name, int(p), v] for i, p, v in zip(chosen, pitch, velocity, strict=True)]
        return {
            "audio": torch.from_numpy(audio),
            "pitch": torch.from_numpy(pitch),
            "quality": torch.from_numpy(np.array(quality, np.float32)),
        }

    @torch.no_grad()
    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        """Losses and accuracies on notes of every held-out instrument, the same ones each time."""
        rng = np.random.default_rng(1)
        items = [(i, int(r)) for i in self.held_out for r in rng.permutation(len(i.index))[:EACH]]
        sums: dict[str, float] = {}
        for at in range(0, len(items), 32):
            part = items[at : at + 32]
            for k, v in module(**self._collate(*zip(*part, strict=True))).items():
                sums[k] = sums.get(k, 0.0) + float(v) * len(part)
        figures = {k: v / len(items) for k, v in sums.items()}
        # A judge answers yes or no: the best is what errs least, not what is least surprised by drums that have no key.
        errors = 2 - figures["pitch_right"] - figures["quality_right"]
        return figures | {"loss": errors, "surprise": figures["loss"]}


def _peak(audio: torch.Tensor) -> torch.Tensor:
    return audio.abs().amax(dim=1, keepdim=True)


class WithLoss(nn.Module):
    """The network, what alters its notes while it trains, and what it is judged by."""

    def __init__(self, net: Classifier, recipe: ClassifierRecipe) -> None:
        super().__init__()
        self.net, self.recipe = net, recipe

    def forward(
        self,
        audio: torch.Tensor,
        pitch: torch.Tensor,
        quality: torch.Tensor,
        factor: torch.Tensor | None = None,
        curve: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """audio (batch, SAMPLES); factor (batch,): by which frequencies are multiplied; curve: dB (batch, KNOTS).

        Scalars: loss, the two losses it is made of, and the shares of right keys and of right qualities.
        """
        with torch.no_grad():
            long, short = spectrograms(audio, self.net.config.bands)
            if factor is not None:
                long = _moved(long, factor)
            if curve is not None:
                long, short = _coloured(long, curve), _coloured(short, curve)
        keys, marks, _ = self.net(long, short)
        keys, marks = keys.float(), marks.float()
        by_key = nn.functional.cross_entropy(keys, pitch, label_smoothing=self.recipe.smoothing if self.training else 0.0)
        by_quality = nn.functional.binary_cross_entropy_with_logits(marks, quality)
        return {
            "loss": by_key + 3 * by_quality,
            "pitch": by_key,
            "quality": by_quality,
            "pitch_right": (keys.argmax(dim=1) == pitch).float().mean(),
            "quality_right": ((marks > 0) == (quality > 0.5)).float().mean(),
        }


def _moved(long: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Spectra (batch, steps, bins) whose frequencies are multiplied by `factor` (batch,)."""
    bins = long.shape[2]
    at = (torch.arange(bins, device=long.device) / factor[:, None]).clamp(max=bins - 1)
    low = at.floor().long().clamp(max=bins - 2)
    part = (at - low)[:, None]
    low = low[:, None].expand(-1, long.shape[1], -1)
    return long.gather(2, low) * (1 - part) + long.gather(2, low + 1) * part


def _coloured(spectra: torch.Tensor, curve: torch.Tensor) -> torch.Tensor:
    """Spectra through an equaliser; the short one has bands even over the root of frequency, as the knots are."""
    wide = spectra.shape[2] != LONG // 2 + 1
    points = spectra.shape[2] // PER_STEP if wide else spectra.shape[2]
    x = torch.arange(points, device=spectra.device) / (points - 1)
    at = (x if wide else x.sqrt()) * (KNOTS - 1)
    low = at.long().clamp(max=KNOTS - 2)
    gain = curve[:, low] * (1 - (at - low)) + curve[:, low + 1] * (at - low)
    gain = gain.repeat(1, PER_STEP) if wide else gain
    out: torch.Tensor = (spectra + gain[:, None] / 40).clamp(min=-1)
    return out
