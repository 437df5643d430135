"""The key network's task: from codes of one note of an instrument, those at another key and velocity, and what they leave unsaid.

Of pairs of notes it is asked what codes the encoder has of the other one, and by how much the decoder, told those, misses the
other's levels and noise in the mean. Codes are seen where a step is as loud in every direction: from what the decoder
says of random steps. What is heard is blurred by as much as sounds differ: of what lies beyond all that it has learned it then
says little, and that it does not know the sound shows (`Transposition.missed`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..bundle import Bundle
from ..codecs.transposition import BOUND, FILE, REACH, told, unpacked
from ..codes import DIMS, FRAMES
from ..dsp import timbre
from ..dsp.cosines import spans
from ..dsp.detail import MEANT
from ..dsp.partials import BANDS, SLOTS, Partials, slots_for
from ..nets.harmonic import Harmonic, HarmonicConfig
from ..nets.transposition import VIEW, KeyConfig, KeyNetwork
from ..notes import Note, hz
from .features import FRAMES as FINE
from .features import Analysed
from .harmonic import CROP, collate, item
from .harmonic_loss import WithLoss
from .loop import Batch, precision_for
from .split import Split

Floats = npt.NDArray[np.float32]

SPAN_COUNTS = np.array([0.25, 0.55, 0.2], np.float32)
"""How much onset, sustain and release count in what is lost."""
REST = timbre.POINTS + 2 * SLOTS + BANDS
"""Of what the voice says, levels, offsets and noise."""
_LEAST = 0.03
"""Deviations by which the least of what is heard is blurred."""
_FLATTEST = 0.02
"""Of the largest deviation of a direction, what the smallest counts as."""


@dataclass(frozen=True)
class KeyRecipe:
    """What is asked of the network.

    blur: the most by which what is heard is blurred, in deviations; stays: how often, of the pairs, the note's own key is asked
    for too; level, noise: what a dB of what is lost costs, where all that codes differ by costs 1; held_pitches: keys of no
    training note; probes: crops by which it is told how loud a step of codes is.
    """

    blur: float = 0.5
    stays: float = 0.25
    level: float = 0.01
    noise: float = 0.004
    held_pitches: tuple[int, ...] = (46, 66, 86)
    probes: int = 600


@dataclass(frozen=True, eq=False)
class Lost:
    """What the decoder misses of an instrument's notes, told the encoder's codes, means over onset, sustain and release.

    level (notes, 3, MEANT) dB, and how much of it is heard, sum 1 at the most; noise (notes, 3, BANDS) dB.
    """

    level: npt.NDArray[np.float16]
    heard: npt.NDArray[np.float16]
    noise: npt.NDArray[np.float16]


class Asked(torch.nn.Module):
    """The network with its loss."""

    def __init__(self, net: KeyNetwork, recipe: KeyRecipe) -> None:
        super().__init__()
        self.net, self.recipe = net, recipe

    def forward(
        self, heard: torch.Tensor, there: torch.Tensor, keys: torch.Tensor,
        level: torch.Tensor, loud: torch.Tensor, noise: torch.Tensor,
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """Scalars: codes (of 1: all that they differ by), level, noise (dB), loss.

        heard, there (pairs, seen), keys (pairs, ...): two notes' codes, and what is told; the rest: the other note's, see `Lost`.
        """
        r, size = self.recipe, self.net.size
        if self.training:
            amount = torch.empty(len(heard), 1, device=heard.device).uniform_(float(np.log(_LEAST)), float(np.log(r.blur))).exp()
            heard = heard + amount * torch.randn_like(heard) * (size / self.net.scale).clamp(max=1)
        said, levels, noises = (x.float() for x in self.net(heard, keys))
        counts = torch.from_numpy(SPAN_COUNTS).to(heard.device)[:, None]
        figures = {
            "codes": (((said - there) * self.net.scale) ** 2).sum(1).mean() / (size**2).sum(),
            "level": ((levels - level).abs() * loud).sum((1, 2)).mean(),
            "noise": ((noises - noise).abs() * counts).sum(1).mean(),
        }
        return {**figures, "loss": figures["codes"] + r.level * figures["level"] + r.noise * figures["noise"]}


class KeyTask(Split[Analysed]):
    """Pairs of notes of an instrument, within REACH."""

    def __init__(self, instruments: Sequence[Analysed], model: Bundle, config: KeyConfig, recipe: KeyRecipe) -> None:
        """model: whose codes they are; all notes are encoded and decoded here, 20 ms each of a core. It goes on from the network
        that the model has, if that is of the same form.
        """
        from safetensors.torch import load_file

        self.config, self.recipe = config, recipe
        super().__init__(instruments, recipe.held_pitches)
        net = Harmonic(HarmonicConfig.from_dict(dict(model.network)))
        net.load_state_dict({k: v.float() for k, v in load_file(model.path("weights.safetensors")).items()})
        self.voice = WithLoss(net.requires_grad_(False)).eval()
        every = [*self.instruments, *self.held_out]
        told_ = {i.name: _told(net, i) for i in every}
        self.codes = {name: c for name, (c, _) in told_.items()}
        self.lost = {name: lost for name, (_, lost) in told_.items()}
        known = [self.codes[i.name][rows] for i, rows in zip(self.instruments, self.train_rows, strict=True)]
        self.first = _shipped(model, config)
        if self.first is None:
            roots = _roots(net, self.instruments, self.train_rows, self.codes, recipe.probes)
            self.view = _view(np.concatenate(known), roots, config.seen)
        else:
            self.view = {k: self.first[k].numpy() for k in VIEW}
        self.seen = {name: _seen(c, self.view) for name, c in self.codes.items()}

    def module(self) -> torch.nn.Module:
        """The network with its loss."""
        net = KeyNetwork(self.config, self.view)
        if self.first is not None:
            net.load_state_dict(self.first)
        return Asked(net, self.recipe)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` pairs of an instrument's notes, and of some the first note twice."""
        pairs = [self._pair(rng) for _ in range(size)]
        return self._batch([*pairs, *((i, a, a) for i, a, _ in pairs[: round(size * self.recipe.stays)])])

    def _pair(self, rng: np.random.Generator) -> tuple[Analysed, int, int]:
        which = self.one(rng)
        i, rows = self.instruments[which], self.train_rows[which]
        a = int(rng.choice(rows))
        away = np.abs(i.index["pitch"][rows].astype(int) - int(i.index["pitch"][a]))
        near = rows[away <= (REACH if rng.random() < 0.35 else 13)]
        return i, a, int(rng.choice(near))

    def _batch(self, pairs: Sequence[tuple[Analysed, int, int]]) -> Batch:
        out = {"heard": [self.seen[i.name][a] for i, a, _ in pairs], "there": [self.seen[i.name][b] for i, _, b in pairs]}
        out["keys"] = [told(_note(i, a), _note(i, b)) for i, a, b in pairs]
        for name, part in (("level", "level"), ("loud", "heard"), ("noise", "noise")):
            out[name] = [getattr(self.lost[i.name], part)[b].astype(np.float32) for i, _, b in pairs]
        return {k: torch.from_numpy(np.stack(v)) for k, v in out.items()}

    @torch.no_grad()
    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        """An octave away from held-out keys of known instruments (pitches), and from any of held-out ones (instruments): what is
        asked in training, and the voice's levels of what is then decoded (decoded, dB)."""
        rng = np.random.default_rng(1)
        known = [(i, np.array(self.recipe.held_pitches)) for i in self.instruments]
        strange = [(i, np.unique(i.index["pitch"])) for i in self.held_out]
        figures: dict[str, float] = {}
        for name, some in (("pitches", known), ("instruments", strange)):
            drawn = [_octave(some[j][0], some[j][1], rng) for j in rng.integers(len(some), size=96)] if some else []
            found = [p for p in drawn if p is not None]
            if found:
                figures |= {f"{name}/{k}": float(v) for k, v in module(**self._batch([p[:3] for p in found])).items()}
                figures[f"{name}/decoded"] = self._decoded(getattr(module, "module", module).net, found)
        if not figures:
            raise ValueError("validation needs notes an octave apart, of held-out keys or instruments")
        figures["loss"] = figures.get("pitches/decoded", figures.get("instruments/decoded", 0.0))
        return figures

    def _decoded(self, net: Any, pairs: Sequence[tuple[Analysed, int, int, int]]) -> float:
        """How far levels are off, dB, of crops decoded from moved codes."""
        batch = self._batch([p[:3] for p in pairs])
        stay = torch.from_numpy(np.stack([told(_note(i, a), _note(i, a)) for i, a, *_ in pairs]))
        moved = (net(batch["heard"], batch["keys"])[0] - net(batch["heard"], stay)[0]).float().numpy() * self.view["scale"]
        drift = np.einsum("ntd,tde->nte", (moved @ self.view["basis"].T).reshape(-1, FRAMES, DIMS), self.view["inverse"])
        total = 0.0
        for at in range(0, len(pairs), 16):
            items, crops = [], []
            for (i, a, b, first), d in zip(pairs[at : at + 16], drift[at : at + 16], strict=True):
                crop = slice(first // timbre.PER_CODE, (first + CROP) // timbre.PER_CODE)
                crops.append(np.clip(self.codes[i.name][a, crop] + d[crop], -BOUND, BOUND).astype(np.float32))
                note = i.note(b, first, CROP)
                made = item(note, i.index[a], note, i.index[b], first, float(i.index["peak"][b]))
                items.append({k: v for k, v in made.items() if not k.startswith("heard")})
            figures = self.voice.judge(torch.from_numpy(np.stack(crops)), **collate(items))
            total += float(figures["level"]) * len(items)
        return total / len(pairs)


def _shipped(model: Bundle, config: KeyConfig) -> dict[str, torch.Tensor] | None:
    """The weights that the model has, if they are of a network of this form."""
    from safetensors.numpy import load_file

    if not model.has(FILE):
        return None
    found = {k: torch.from_numpy(v) for k, v in unpacked(load_file(model.path(FILE))).items()}
    form = {k: v.shape for k, v in KeyNetwork(config).state_dict().items()}
    return found if {k: v.shape for k, v in found.items()} == form else None


def _octave(i: Analysed, keys: npt.NDArray[np.integer], rng: np.random.Generator) -> tuple[Analysed, int, int, int] | None:
    """Two notes of an instrument an octave apart, alike in velocity, the first at one of some keys, and a crop's first frame."""
    rows = np.flatnonzero(np.isin(i.index["pitch"], keys))
    if not len(rows):
        return None
    a = int(rng.choice(rows))
    away = i.index["pitch"].astype(int) - int(i.index["pitch"][a])
    there = np.flatnonzero((np.abs(away) == 12) & (i.index["velocity"] == i.index["velocity"][a]))
    return (i, a, int(rng.choice(there)), int(rng.choice([0, 0, 120, 340]))) if len(there) else None


@torch.no_grad()
def _told(net: Harmonic, i: Analysed) -> tuple[npt.NDArray[np.float16], Lost]:
    """Codes of all notes of an instrument, (notes, FRAMES, 16), and what is lost of each."""
    codes, lost = [np.zeros((0, FRAMES, DIMS), np.float16)], []
    fine, coarse, fast = timbre.frame_times(FINE), timbre.code_times(FRAMES), precision_for("auto") == "bf16"
    for at in range(0, len(i.index), 16):
        rows = range(at, min(at + 16, len(i.index)))
        notes, keys = [i.note(r) for r in rows], [(float(i.index["pitch"][r]), float(i.index["velocity"][r])) for r in rows]
        hears, says = (np.stack([timbre.condition(*k, times) for k in keys]) for times in (fine, coarse))
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            found = net.encode(torch.from_numpy(np.stack([timbre.heard(n) for n in notes])), torch.from_numpy(hears)).float()
            raw = net.decode(found, torch.from_numpy(says), torch.from_numpy(hears)).float().numpy()
        codes.append(found.numpy().astype(np.float16))
        lost += [_lost(n, timbre.say(raw[j], hz(k[0]))) for j, (n, k) in enumerate(zip(notes, keys, strict=True))]
    parts = [np.stack(p) for p in zip(*lost, strict=True)] if lost else [np.zeros((0, 3, n)) for n in (MEANT, MEANT, BANDS)]
    return np.concatenate(codes), Lost(*(np.asarray(p, np.float16) for p in parts))


def _lost(note: Partials, said: timbre.Said) -> tuple[Floats, ...]:
    """The fields of `Lost` of one note."""
    n = min(MEANT, slots_for(note.f0))
    low = max(float(note.level.max()), float(said.level[:, :n].max())) - timbre.DEPTH
    off = np.maximum(note.level[:, :n], low) - np.maximum(said.level[:, :n], low)
    heard = np.clip((np.maximum(note.level, said.level)[:, :n] - low) / 30, 0.02, 1)
    noise = np.maximum(note.noise, low - 30) - np.maximum(said.noise, low - 30)
    level, loud, hiss = (np.zeros((3, size), np.float32) for size in (MEANT, MEANT, BANDS))
    for q, span in enumerate(spans(len(note))):
        level[q, :n], loud[q, :n], hiss[q] = (x[span].mean(axis=0) for x in (off, heard, noise))
    loud *= SPAN_COUNTS[:, None] / np.maximum(loud.sum(axis=1, keepdims=True), 1)
    return level, loud, hiss


def _roots(
    net: Harmonic, instruments: Sequence[Analysed], rows: Sequence[npt.NDArray[np.intp]],
    codes: Mapping[str, npt.NDArray[np.float16]], probes: int,
) -> npt.NDArray[np.float64]:  # fmt: skip
    """Square roots (FRAMES, 16, 16) of how loud a step of codes is, by gradients of what is said, as the loss weighs it, along
    random directions; alike where nothing begins or ends."""
    rng, draws = np.random.default_rng(1), torch.Generator().manual_seed(1)
    power, count = np.zeros((FRAMES, DIMS, DIMS)), np.zeros(FRAMES)
    for probe in range(probes):
        which = int(rng.integers(len(instruments)))
        i, row = instruments[which], int(rng.choice(rows[which]))
        first = (0, FINE - CROP)[probe % 2]
        at = first // timbre.PER_CODE
        note = i.note(row, first, CROP)
        asked = collate([item(note, i.index[row], note, i.index[row], first, float(i.index["peak"][row]))])
        z = torch.from_numpy(codes[i.name][None, row, at : at + CROP // timbre.PER_CODE].astype(np.float32)).requires_grad_(True)
        raw = net.decode(z, asked["told"], asked["told_fast"]).float()[0]
        envelope, correction, _, noise, _ = torch.split(raw, [timbre.POINTS, SLOTS, SLOTS, BANDS, raw.shape[1] - REST], dim=1)
        level, bands = (envelope @ torch.from_numpy(timbre.to_harmonics(note.f0)) + correction) * 25, noise * 25
        peak, loudest = float(i.index["peak"][row]), torch.from_numpy(note.level.max(axis=1, keepdims=True))
        frame = ((loudest - peak + 70) / 40).clamp(0.05, 1)
        there = torch.from_numpy((np.arange(SLOTS) < slots_for(note.f0)).astype(np.float32))
        counts = ((torch.from_numpy(note.level) - peak + timbre.DEPTH) / 30).clamp(0.02, 1) * there
        counts = counts / counts.sum(1, keepdim=True).clamp(min=1) * frame
        hiss = ((torch.from_numpy(note.noise) - peak + 110) / 30).clamp(0.1, 1) * frame * (0.7 / BANDS)
        for last in (False, False, False, True):
            along = ((x * w.sqrt() * torch.randn(x.shape, generator=draws)).sum() for x, w in ((level, counts), (bands, hiss)))
            g = torch.autograd.grad(torch.stack([*along]).sum(), z, retain_graph=not last)[0][0].numpy()
            power[at : at + len(g)] += np.einsum("td,te->tde", g, g)
            count[at : at + len(g)] += 1
    power /= np.maximum(count, 1)[:, None, None]
    crop = CROP // timbre.PER_CODE
    power[crop : FRAMES - crop] = power[crop - 4 : crop].mean(axis=0)
    for a, b in ((4, crop), (FRAMES - crop, 92), (99, 121), (121, FRAMES)):
        power[a:b] = power[a:b].mean(axis=0)
    sizes, axes = np.linalg.eigh(power)
    sizes = np.sqrt(np.maximum(sizes, 1e-3 * sizes.max(axis=1, keepdims=True)))
    return np.asarray(np.einsum("tde,te,tfe->tdf", axes, sizes, axes))


def _view(codes: npt.NDArray[np.float16], roots: npt.NDArray[np.float64], seen: int) -> dict[str, Floats]:
    """The buffers of `KeyNetwork`: principal directions of up to 14,000 notes' codes."""
    some = codes[np.random.default_rng(0).permutation(len(codes))[:14000]].astype(np.float32)
    root = roots.astype(np.float32)
    x = np.einsum("ntd,tde->nte", some, root).reshape(len(some), -1)
    mean = x.mean(axis=0)
    x -= mean
    power, axes = np.linalg.eigh(x.T @ x / len(x))
    size = np.sqrt(np.maximum(power[::-1][:seen], 1e-12))
    return {
        "root": root, "inverse": np.linalg.inv(roots).astype(np.float32), "mean": mean,
        "basis": np.ascontiguousarray(axes[:, ::-1][:, :seen], np.float32), "size": size.astype(np.float32),
        "scale": np.maximum(size, _FLATTEST * size[0]).astype(np.float32),
    }  # fmt: skip


def _seen(codes: npt.NDArray[np.float16], view: Mapping[str, Floats]) -> Floats:
    """Codes (notes, FRAMES, 16) as the network is told them, (notes, seen)."""
    out = [np.zeros((0, view["basis"].shape[1]), np.float32)]
    for at in range(0, len(codes), 256):
        x = np.einsum("ntd,tde->nte", codes[at : at + 256].astype(np.float32), view["root"])
        out.append((x.reshape(len(x), -1) - view["mean"]) @ view["basis"] / view["scale"])
    return np.concatenate(out)


def _note(i: Analysed, row: int) -> Note:
    return Note(int(i.index["pitch"][row]), int(i.index["velocity"][row]))
