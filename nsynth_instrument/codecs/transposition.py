"""What a known note would be at another key and velocity of the same instrument: its codes, and what codes do not say there.

Codes are to say a timbre, and the decoder applies pitch and velocity; yet those of an instrument's keys differ, and a decoder
that has one note's does not know how. A network does, that learned from all notes of two soundfonts
(`training.transposition`): of a note's codes, its key and velocity, and those wanted, it says the codes that are expected there,
and the means of what the decoder would lose of such a note. How far what it expects at the note's own key is from the codes
themselves tells how well it knows the sound: of one that it knows its word is taken, of others only how codes change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..codes import DIMS, FRAMES
from ..dsp import timbre
from ..dsp.detail import MEANT, Means
from ..dsp.partials import BANDS
from ..dsp.products import Matrix
from ..errors import BundleError
from ..notes import Note
from ..trajectories import stretch

Floats = npt.NDArray[np.float32]

FILE = "transposition.safetensors"
"""Where a model has its weights."""
SPANS = (
    *((0, 1), (1, 2), (2, 3), (3, 5), (5, 8), (8, 12), (12, 18), (18, 26), (26, 36), (36, 50), (50, 66), (66, 80), (80, 94)),
    *((94, 95), (95, 97), (97, 100), (100, 105), (105, 112), (112, 119), (119, 125)),
)
"""By their means it is kept what a note's codes have beside others: short where a note begins and where it is let go."""
REACH = 26
"""Semitones between two notes that it learned from; further away what it says holds."""
FAMILIAR, STRANGE = 0.15, 0.21
"""What it misses of a note's codes at their own key, of what codes differ by, of sounds that it knows and of those that it does
not: of 48 notes at keys and of 48 of presets that it never heard 39 and 2 are within the first, 5 and 41 beyond the second."""
STEPS = 40
"""Of `added`, that a code's 1 has."""
BOUND = 2.99
"""Codes lie within 3."""
SCALE = "/scale"
"""What is beside the name of a matrix kept in eight bits: by what each row counts."""


class Transposition:
    """The network and what is made of its words."""

    def __init__(self, weights: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """weights: as `packed` makes them of those of `nets.transposition.KeyNetwork`. Raises BundleError for others."""
        numbers = unpacked(weights)
        self._weights = {k: w for k, w in numbers.items() if w.ndim != 2}
        self._blocks = sum(k.endswith(".norm.weight") for k in weights)
        try:
            self._layers = {k[:-7]: Matrix(w.T) for k, w in numbers.items() if k.endswith(".weight") and w.ndim == 2}
            self._to_basis, self._from_basis = Matrix(numbers["basis"]), Matrix(numbers["basis"].T)
            self._unit = float(np.sqrt(np.square(self._weights["size"]).sum()))
            self._said(self._heard([np.zeros((FRAMES, DIMS), np.float32)]), [Note(60)], [Note(60)])
        except (IndexError, KeyError, ValueError) as e:
            raise BundleError(f"{FILE} holds another network's weights ({e}); install or export the model again") from e

    def missed(self, codes: Sequence[Floats], notes: Sequence[Note]) -> Floats:
        """How far what is expected of each note at its own key is from the encoder's codes (frames, 16) of it; of all that codes
        differ by 1."""
        heard = self._heard(codes)
        miss = (self._said(heard, notes, notes)[0] - heard) * self._weights["scale"]
        return np.asarray(np.sqrt(np.square(miss).sum(axis=1)) / self._unit, dtype=np.float32)

    def __call__(
        self, codes: Sequence[Floats], notes: Sequence[Note], wanted: Sequence[Note], familiar: Sequence[float]
    ) -> list[tuple[Floats, Means]]:
        """What is to be added to the encoder's codes (frames, 16) of notes to have other ones, (frames, 16), and what is expected
        to be lost of those: see `Means`. familiar: how much of what it misses of a note at its own key is taken for that note's
        alone, and none of the sound's: of those that it knows codes are nearer by 0.2 dB so, of others further by 1.
        """
        # One known note is asked for many others.
        known = {(id(c), n): i for i, (c, n) in enumerate(zip(codes, notes, strict=True))}
        once, place = list(known.values()), {k: j for j, k in enumerate(known)}
        which = [place[id(c), n] for c, n in zip(codes, notes, strict=True)]
        heard, own, w = self._heard([codes[i] for i in once]), [notes[i] for i in once], self._weights
        here = self._said(heard, own, own)[0][which]
        heard, to = heard[which], [_within(a, b) for a, b in zip(notes, wanted, strict=True)]
        there, *lost = self._said(heard, notes, to)
        moved = (there - here + np.asarray(familiar, np.float32)[:, None] * (here - heard)) * w["scale"]
        drift = _turned(self._from_basis(moved), w["inverse"])
        level, noise = (x.reshape(len(to), 3, -1) for x in lost)
        return [(stretch(drift[i], len(c)), Means(level[i], noise[i])) for i, c in enumerate(codes)]

    def _heard(self, codes: Sequence[Floats]) -> Floats:
        c, w = np.stack([stretch(np.asarray(c, np.float32), FRAMES) for c in codes]), self._weights
        return self._to_basis(_turned(c, w["root"]).reshape(len(c), -1) - w["mean"]) / w["scale"]

    def _said(self, heard: Floats, notes: Sequence[Note], wanted: Sequence[Note]) -> tuple[Floats, Floats, Floats]:
        w = self._weights
        keys = np.stack([told(a, b) for a, b in zip(notes, wanted, strict=True)])
        x = self._product(np.concatenate([heard, keys], axis=1), "start")
        for i in range(self._blocks):
            name = f"blocks.{i}."
            x = x + self._product(_silu(self._product(_norm(x, w, f"{name}norm"), f"{name}mix")), f"{name}out")
        x = _silu(_norm(x, w, "norm"))
        level, noise = (self._product(self._product(x, f"few_{name}"), name) for name in ("level", "noise"))
        if (level.shape[1], noise.shape[1]) != (3 * MEANT, 3 * BANDS):
            raise ValueError("shapes")
        return heard + self._product(x, "say"), level, noise

    def _product(self, x: Floats, name: str) -> Floats:
        return self._layers[name](x) + self._weights[f"{name}.bias"]


def familiar(missed: Floats) -> Floats:
    """How far what is said of sounds counts, 0..1, of which so much is missed."""
    return np.asarray(np.interp(missed, (FAMILIAR, STRANGE), (1.0, 0.0)), dtype=np.float32)


def packed(weights: Mapping[str, npt.NDArray[np.floating]]) -> dict[str, npt.NDArray[np.generic]]:
    """Weights as a model keeps them: large matrices in eight bits, by rows, the rest in 32."""
    out: dict[str, npt.NDArray[np.generic]] = {}
    for name, x in weights.items():
        if x.ndim == 2 and x.size > 10000:
            scale = np.maximum(np.abs(x).max(axis=1), 1e-12).astype(np.float32) / np.float32(127)
            out[name], out[name + SCALE] = np.rint(x / scale[:, None]).astype(np.int8), scale
        else:
            out[name] = np.asarray(x, np.float16 if x.ndim == 3 else np.float32)
    return out


def unpacked(weights: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Floats]:
    """The same as numbers."""
    scales = {k: np.asarray(v, np.float32)[:, None] for k, v in weights.items() if k.endswith(SCALE)}
    numbers = {k: np.ascontiguousarray(v, np.float32) for k, v in weights.items() if k not in scales}
    return {k: v * scales[k + SCALE] if k + SCALE in scales else v for k, v in numbers.items()}


def added(codes: Floats, heard: Floats) -> npt.NDArray[np.int8]:
    """What a note's codes (frames, 16) are beside others that the encoder had of it, means in SPANS, (spans, 16)."""
    more = stretch(codes - heard, FRAMES)
    steps = np.rint(np.stack([more[a:b].mean(axis=0) for a, b in SPANS]) * STEPS)
    return np.asarray(steps.clip(-127, 127), dtype=np.int8)


def told(note: Note, wanted: Note) -> Floats:
    """What the network is told: both keys and velocities, (2 * KEY + 2,)."""
    both = [timbre.key(note.pitch), timbre.key(wanted.pitch), np.array([note.velocity, wanted.velocity]) / 127]
    return np.concatenate(both, dtype=np.float32)


@lru_cache(16)
def woven(frames: int) -> Floats:
    """Matrix (frames, spans): straight lines between the middles of spans."""
    middles = [(a + b - 1) / 2 for a, b in SPANS]
    rows = [np.interp(np.arange(FRAMES), middles, row) for row in np.eye(len(SPANS))]
    return stretch(np.asarray(np.stack(rows, axis=1), dtype=np.float32), frames)


def _within(note: Note, wanted: Note) -> Note:
    return Note(int(np.clip(wanted.pitch, note.pitch - REACH, note.pitch + REACH)), wanted.velocity)


def _turned(x: Floats, by: Floats) -> Floats:
    """x (n, FRAMES, DIMS), each frame as a row times its own of `by` (FRAMES, DIMS, DIMS)."""
    rows: Floats = np.matmul(x.reshape(-1, FRAMES, 1, DIMS), by)  # one by one, see `dsp.products`
    return rows[:, :, 0]


def _norm(x: Floats, w: Mapping[str, Floats], name: str) -> Floats:
    y = x - x.mean(axis=1, keepdims=True)
    y /= np.sqrt((y**2).mean(axis=1, keepdims=True) + np.float32(1e-5))
    return np.asarray(y * w[f"{name}.weight"] + w[f"{name}.bias"])


def _silu(x: Floats) -> Floats:
    return np.asarray(x / (1 + np.exp(-np.clip(x, -60, 60))))
