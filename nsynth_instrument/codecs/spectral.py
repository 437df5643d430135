"""The spectral codec: audio -> log magnitudes -> codes, and codes -> log magnitudes -> phases -> audio at 16 kHz."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..bundle import Bundle
from ..dsp import phase, spectra, timbre
from ..dsp.spectra import HOP, LATENT, PER_CODE, RATE, SAMPLES, SIZE
from ..notes import Note
from . import Among, Kept

Floats = npt.NDArray[np.float32]

ROUNDS = 16
"""Fast Griffin-Lim iterations after the first phases."""
SCALE = 40.0
"""dB to a unit in which the published form's codes keep the level of a note, which its network does not hear."""


class SpectralNetwork(Protocol):
    """The two halves of a network on some runtime: arrays as `nets.spectral.Frames` or `Published` takes them."""

    runtime: str

    def encode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See `Frames.encode` and `Published.encode`."""
        ...

    def decode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See `Frames.decode` and `Published.decode`."""
        ...


class SpectralCodec:
    """A `Codec` over the small network, whose codes run along time."""

    rate = RATE
    batch = 32
    pitched = True
    frames: int | None = None
    lead = spectra.LEAD

    def __init__(self, bundle: Bundle, network: SpectralNetwork, *, threads: int | None = None) -> None:
        self.name, self.network, self.runtime, self.hop = bundle.name, network, network.runtime, PER_CODE * HOP
        self.threads = threads or os.cpu_count() or 1

    def encode(self, audio: Sequence[Floats], notes: Sequence[Note]) -> list[Floats]:
        """See `Codec.encode`."""
        out: list[Floats] = []
        for a, note in zip(audio, notes, strict=True):
            level = spectra.levels(np.pad(np.asarray(a, np.float32), (0, -len(a) % self.hop)))
            told = timbre.condition(note.pitch, note.velocity, spectra.times(len(level)), _release(len(level) // PER_CODE))
            out.append(self.network.encode(level[None], told[None])[0])
        return out

    def refine(self, audio: Sequence[Floats], notes: Sequence[Note], codes: Sequence[Floats]) -> list[Floats]:
        """The codes as they are: the encoder has the last word."""
        return list(codes)

    def detail(
        self, audio: Sequence[Floats], notes: Sequence[Note], codes: Sequence[Floats]
    ) -> dict[str, npt.NDArray[np.generic]] | None:
        """None: it keeps nothing beside the codes."""
        return None

    def transposed(
        self, codes: Sequence[Floats], notes: Sequence[Note], wanted: Sequence[Note], kept: Sequence[Kept | None]
    ) -> list[tuple[Floats, Kept | None]]:
        """The codes as they are: the decoder alone makes another key of them."""
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
        """See `Codec.decode`. Nothing is drawn but the phases that a note begins with, so temperature changes nothing.

        Positions of a morph begin a quarter turn further at each step: their harmonics turn alike, so powers add.
        """

        def one(c: Floats, note: Note, steps: int) -> Floats:
            magnitude = self.magnitudes([c], [note])[0]
            return sound(magnitude, note, note.rng(seed), len(c) * self.hop, lead=self.lead, turned=steps / 4)

        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(one, codes, notes, [sum(a.place) for a in among] if among else [0] * len(notes)))

    def levels(
        self, codes: Sequence[Floats], notes: Sequence[Note], *, detail: Sequence[Sequence[Kept]] | None = None
    ) -> None:
        """None: sounds are mixed as time goes, as the paper's are."""
        return

    def magnitudes(self, codes: Sequence[Floats], notes: Sequence[Note]) -> list[Floats]:
        """What the network says of each note: magnitudes (spectra, 513) as `dsp.stft` has them."""
        out: list[Floats] = []
        for c, note in zip(codes, notes, strict=True):
            n, off = len(c), _release(len(c))
            told = timbre.condition(note.pitch, note.velocity, spectra.code_times(n), off)
            fast = timbre.condition(note.pitch, note.velocity, spectra.times(n * PER_CODE), off)
            number, comb = spectra.harmonics(note.pitch)
            level = self.network.decode(c[None].astype(np.float32), told[None], fast[None], number[None], comb[None])[0]
            out.append(spectra.magnitudes(level))
        return out


class PublishedCodec(SpectralCodec):
    """A `Codec` over the published network: a note of 4 s is one vector, kept as 124 rows of 16, and a row for its level."""

    frames = SAMPLES // (PER_CODE * HOP)
    lead = SIZE // 2

    def encode(self, audio: Sequence[Floats], notes: Sequence[Note]) -> list[Floats]:
        """See `Codec.encode`; every note is cut or filled to 4 s. The network is told neither pitch nor velocity."""
        out: list[Floats] = []
        for a in audio:
            heard, level = spectra.published(np.asarray(a, np.float32))
            last = np.zeros(16, np.float32)
            last[0] = level / SCALE
            out.append(np.concatenate([self.network.encode(heard[None])[0], last]).reshape(-1, 16))
        return out

    def magnitudes(self, codes: Sequence[Floats], notes: Sequence[Note]) -> list[Floats]:
        """See `SpectralCodec.magnitudes`."""
        out: list[Floats] = []
        for c, note in zip(codes, notes, strict=True):
            flat = c.reshape(-1).astype(np.float32)
            says = self.network.decode(flat[None, :LATENT], np.array([note.pitch], np.int64))[0]
            db = (says[:, : SAMPLES // HOP + 1].T - 1) * 120 + flat[LATENT] * SCALE
            out.append(np.pad(10 ** (db / 20), ((0, 0), (0, 1))).astype(np.float32))
        return out


def sound(
    magnitude: Floats, note: Note, rng: np.random.Generator, samples: int, *, lead: int, turned: float = 0.0
) -> Floats:
    """Audio (samples,) of magnitudes: phases that advance along the note's pitch, made consistent by a few iterations.

    docs/spectral.md compares it with Griffin-Lim alone, as published, and with integration of the phase's gradient.
    """
    start = phase.advance(magnitude, HOP, note.hz / RATE, rng) + np.float32(2 * np.pi * turned)
    return phase.griffin_lim(magnitude, start, HOP, samples, iterations=1 + ROUNDS, momentum=0.99, lead=lead)


def _release(codes: int) -> float:
    """s at which a note of that many code frames is let go: 1 s before its end, as in NSynth."""
    return max(0.05, codes * PER_CODE * HOP / RATE - 1.0)
