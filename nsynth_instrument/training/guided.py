"""The guided WaveNet's task: say what the sines of a note leave out.

In training the sines have the phases of the recording, measured frame by frame, so that what is left is the noise, the
attack and whatever else no partial says; in generation their phases are free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from .. import audio as sound
from ..dsp import guide, inphase, pqmf
from ..dsp.partials import HOP, RATE, SILENCE, Partials
from ..dsp.timbre import PER_CODE
from ..nets.wavenet import Guided
from ..nets.wavenet_config import WaveNetConfig
from .features import FRAMES, Analysed, note_sound
from .loop import Batch
from .split import Split

Floats = npt.NDArray[np.float32]

_EDGE = 2
"""Frames of features around a crop, so that its sines and filters are whole."""
_BLIND = 64
"""Steps at the start of a crop inside a note that do not count: their past is missing."""
_DEPTH = 80.0
"""dB under a note's peak at which a band hardly counts."""


@dataclass(frozen=True)
class GuidedRecipe:
    """What is asked of the network.

    frames: code frames per crop; onsets: how often a crop begins with its note; releases: how often it holds the release;
    gain: dB, deviation of a change of level; past_noise, past_share: see Guided; held_pitches: keys of no training note.
    """

    frames: int = 10
    onsets: float = 0.35
    releases: float = 0.15
    gain: float = 5.0
    past_noise: float = 0.05
    past_share: float = 0.0
    held_pitches: tuple[int, ...] = (46, 66, 86)


class GuidedTask(Split[Analysed]):
    """Batches from recordings and their features, the loss, and validation on instruments and pitches never trained on."""

    def __init__(
        self,
        instruments: Sequence[Analysed],
        rows: Mapping[str, Sequence[Mapping[str, Any]]],
        config: WaveNetConfig,
        recipe: GuidedRecipe,
    ) -> None:
        """rows: of the recordings, by instrument; see `features.rows`."""
        self.config, self.recipe = config, recipe
        self.recordings = {n: {(r["pitch"], r["velocity"]): r for r in notes} for n, notes in rows.items()}
        super().__init__(instruments, recipe.held_pitches)

    def module(self) -> torch.nn.Module:
        """The network; its forward is the loss."""
        return Guided(self.config, past_noise=self.recipe.past_noise, past_share=self.recipe.past_share)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` crops: onsets, releases, and anywhere."""
        items = []
        for _ in range(size):
            which = self.one(rng)
            row = int(rng.choice(self.train_rows[which]))
            items.append(self._item(self.instruments[which], row, self._first(rng), float(rng.normal(0, self.recipe.gain))))
        return _collate(items)

    def _first(self, rng: np.random.Generator) -> int:
        """First code frame of a crop."""
        last = FRAMES // PER_CODE - self.recipe.frames
        u = rng.random()
        if u < self.recipe.onsets:
            return 0
        if u < self.recipe.onsets + self.recipe.releases:
            return int(rng.integers(94 - self.recipe.frames, 94))
        return int(rng.integers(last + 1))

    def _item(self, instrument: Analysed, row: int, first: int, gain: float = 0.0) -> dict[str, Floats]:
        """One crop as arrays of what `Guided.forward` takes."""
        about = instrument.index[row]
        pitch, velocity = int(about["pitch"]), int(about["velocity"])
        frames, start = self.recipe.frames * PER_CODE, first * PER_CODE
        note = _wide(instrument, row, start - _EDGE, frames + 2 * _EDGE)
        reach = inphase.size_for(note.f0) // 2
        recording = self.recordings[instrument.name][pitch, velocity]
        audio = _piece(recording, (start - _EDGE) * HOP - reach, len(note) * HOP + 2 * reach)
        sines = inphase.sines(audio, note)
        factor = np.float32(10 ** (gain / 20))
        both = np.stack([audio[reach : reach + len(sines)], sines]) * factor
        edge = _EDGE * HOP // guide.BANDS
        signal, led = pqmf.analysis(both, guide.BANDS)
        inner = replace(
            note,
            level=np.where(note.level > SILENCE + 1, note.level + np.float32(gain), note.level)[_EDGE:-_EDGE],
            offset=note.offset[_EDGE:-_EDGE],
            noise=(note.noise + np.float32(gain))[_EDGE:-_EDGE],
            deviation=note.deviation[_EDGE:-_EDGE],
        )
        levels, share = guide.scale(inner)
        count = slice(edge, edge + len(levels))
        sounds = np.sqrt(sum(guide.powers(inner)))
        loud = guide.by_step(20 * np.log10(np.maximum(sounds, 1e-7))) - (float(about["peak"]) + gain)
        weight = np.clip((loud + _DEPTH) / 40, 0.02, 1)
        if first:
            weight[:_BLIND] = 0
        told = self.config.conditioning(guide.colour(inner)[None], np.array([pitch]), np.array([velocity]))[0]
        target = np.clip((signal - led)[count] / levels, -100, 100)
        target[:, guide.SAID :] = 0
        return {
            "target": target.astype(np.float32),
            "source": guide.source(led[edge - 1 : edge + 1 + len(levels)], levels, share, start * guide.STEPS),
            "told": told,
            "weight": weight.astype(np.float32),
        }

    @torch.no_grad()
    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        """Nats per band sample on held-out instruments, and on held-out pitches of known ones."""
        rng = np.random.default_rng(1)
        strange = [self.held_out[j] for j in rng.permutation(len(self.held_out))[:32]]
        there = [self._item(i, int(rng.integers(len(i.index))), self._first(rng)) for i in strange]
        pitches = []
        for i in [self.instruments[j] for j in rng.permutation(len(self.instruments))[:32]]:
            held = np.flatnonzero(np.isin(i.index["pitch"], self.recipe.held_pitches))
            if len(held):
                pitches.append(self._item(i, int(rng.choice(held)), self._first(rng)))
        figures = {}
        for name, items in (("instruments", there), ("pitches", pitches)):
            parts = [items[i : i + 8] for i in range(0, len(items), 8)]
            if parts:
                figures[name] = sum(float(module(**_collate(p))["loss"]) * len(p) for p in parts) / len(items)
        if not figures:
            raise ValueError("validation needs a held-out instrument or pitch")
        figures["loss"] = float(np.mean(list(figures.values())))
        return figures


def _piece(recording: Mapping[str, Any], start: int, samples: int) -> Floats:
    """Audio (samples,) of a row from sample `start`, silence around it; only as much is read, where there is a file."""
    if recording["path"]:
        return sound.piece(recording["path"], start, samples, rate=RATE)
    whole = note_sound(recording, RATE)
    assert whole is not None, "a damaged note has no features"
    there = whole[max(0, start) : start + samples]
    return np.pad(there, (max(0, -start), samples - max(0, -start) - len(there)))


def _collate(items: Sequence[dict[str, Floats]]) -> Batch:
    return {k: torch.from_numpy(np.stack([i[k] for i in items])) for k in items[0]}


def _wide(instrument: Analysed, row: int, first: int, frames: int) -> Partials:
    """Features of a span that may reach over the note's ends, silent there."""
    a, b = max(first, 0), min(first + frames, FRAMES)
    note = instrument.note(row, a, b - a)
    ends = ((a - first, first + frames - b), (0, 0))
    return replace(
        note,
        level=np.pad(note.level, ends, constant_values=SILENCE),
        offset=np.pad(note.offset, ends, mode="edge"),
        noise=np.pad(note.noise, ends, mode="edge"),
        deviation=np.pad(note.deviation, ends[0], mode="edge"),
    )
