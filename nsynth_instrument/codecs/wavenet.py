"""The WaveNet codec: audio -> classes of PQMF bands -> codes, and codes -> classes, drawn one by one -> audio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..bundle import Bundle
from ..dsp import mulaw, pqmf
from ..notes import Note
from . import Among, Kept, hiss

Floats = npt.NDArray[np.float32]
Classes = npt.NDArray[np.uint8]


class WaveNetNetwork(Protocol):
    """The network on some runtime. `bands`: samples per step; `batch`: how many notes at once suit it."""

    runtime: str
    bands: int
    batch: int

    def encode(self, signal: Floats) -> Floats:
        """Codes (batch, frames, 16) of companded bands (batch, steps, bands), steps those of whole frames."""
        ...

    def decode(
        self,
        codes: Floats,
        pitch: npt.NDArray[Any],
        velocity: npt.NDArray[Any],
        noise: Floats,
        *,
        source: Floats | None = None,
        follow: npt.NDArray[Any] | None = None,
        temperature: float = 1.0,
    ) -> npt.NDArray[Any]:
        """What is drawn (batch, steps, bands), of codes (batch, frames, dims), pitch and velocity (batch,).

        The network's head says what that is. "classes": uint8, drawn by inverse CDF at noise that is uniform in [0, 1);
        "levels": float32, by noise that is standard normal; one number for each. source: float32 (batch, steps, source),
        what the guide of such a network says; follow: bands that are heard as the past instead of those drawn (teacher
        forcing); temperature: what logits are divided by, or deviations multiplied by.
        """
        ...


class WaveNetCodec:
    """A `Codec` over such a network."""

    frames: int | None = None

    def __init__(self, bundle: Bundle, network: WaveNetNetwork) -> None:
        self.name, self.runtime, self.rate, self.batch = bundle.name, network.runtime, bundle.rate, network.batch
        self.network, self.hop = network, bundle.hop
        self.pitched = bundle.network.get("pitch", "none") != "none"

    def encode(self, audio: Sequence[Floats], notes: Sequence[Note]) -> list[Floats]:
        """See `Codec.encode`; the WaveNet's encoder is told neither pitch nor velocity."""
        padded = [np.pad(np.asarray(a, np.float32), (0, -len(a) % self.hop)) for a in audio]
        out: list[Floats] = [np.zeros((0, 0), np.float32)] * len(padded)
        for length in sorted({len(a) for a in padded}):
            same = [i for i, a in enumerate(padded) if len(a) == length]
            for at in range(0, len(same), 16):
                some = same[at : at + 16]
                signal = pqmf.analysis(np.stack([padded[i] for i in some]), self.network.bands)
                for i, codes in zip(some, self.network.encode(mulaw.companded(mulaw.encode(signal))), strict=True):
                    out[i] = codes
        return out

    def refine(self, audio: Sequence[Floats], notes: Sequence[Note], codes: Sequence[Floats]) -> list[Floats]:
        """The codes as they are: no gradient reaches through samples that are drawn."""
        return list(codes)

    def detail(
        self, audio: Sequence[Floats], notes: Sequence[Note], codes: Sequence[Floats]
    ) -> dict[str, npt.NDArray[np.generic]] | None:
        """None: a WaveNet says every sample itself."""
        return None

    def transposed(
        self, codes: Sequence[Floats], notes: Sequence[Note], wanted: Sequence[Note], kept: Sequence[Kept | None]
    ) -> list[tuple[Floats, Kept | None]]:
        """The codes as they are: they say their own pitch."""
        return [(c, None) for c in codes]

    def decode(
        self,
        codes: Sequence[Floats],
        notes: Sequence[Note],
        *,
        seed: int = 0,
        temperature: float = 1.0,
        detail: Sequence[Sequence[Kept]] | None = None,
        level: Sequence[Floats | None] | None = None,
        among: Sequence[Among] | None = None,
    ) -> list[Floats]:
        """See `Codec.decode`. temperature under 1 makes the likely likelier: less noise. Positions of a morph are drawn apart."""
        rngs = [hiss(n, a.place, seed) for a, n in zip(among, notes, strict=True)] if among else [n.rng(seed) for n in notes]
        out: list[Floats] = []
        for first in range(0, len(notes), self.batch):
            some = slice(first, first + self.batch)
            out += self._decode(codes[some], notes[some], rngs[some], temperature)
        return out

    def levels(
        self, codes: Sequence[Floats], notes: Sequence[Note], *, detail: Sequence[Sequence[Kept]] | None = None
    ) -> None:
        """None: how loud a note is, only the note itself tells."""
        return

    def _decode(
        self, codes: Sequence[Floats], notes: Sequence[Note], rngs: Sequence[np.random.Generator], temperature: float
    ) -> list[Floats]:
        bands = self.network.bands
        frames = max(len(c) for c in codes)
        z = np.stack([np.pad(c, ((0, frames - len(c)), (0, 0)), mode="edge") for c in codes]).astype(np.float32)
        noise = np.zeros((len(notes), frames * self.hop // bands, bands), np.float32)
        for row, rng, c in zip(noise, rngs, codes, strict=True):
            steps = len(c) * self.hop // bands
            row[:steps] = rng.random((steps, bands), dtype=np.float32)
        pitch, velocity = np.array([n.pitch for n in notes]), np.array([n.velocity for n in notes])
        classes = self.network.decode(z, pitch, velocity, noise, temperature=temperature)
        # What follows a shorter note's end must not leak back into it through the filters.
        return [
            pqmf.synthesis(mulaw.decode(classes[i : i + 1, : len(c) * self.hop // bands]), bands)[0] for i, c in enumerate(codes)
        ]
