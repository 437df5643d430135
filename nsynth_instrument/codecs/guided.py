"""The guided WaveNet's codec: codes -> the guide's partials -> sines, and what the network says beside them -> audio."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from ..bundle import Bundle
from ..dsp import guide, pqmf, residue, timbre
from ..dsp.additive import synthesise
from ..dsp.hush import hushed
from ..dsp.partials import Partials
from ..notes import Note
from . import Among, Kept, hiss
from .harmonic import HarmonicCodec, turned, voiced
from .wavenet import WaveNetNetwork

Floats = npt.NDArray[np.float32]


class GuidedCodec:
    """A `Codec` whose codes are another model's: what is said of a note comes from there, the samples from here."""

    pitched = True
    frames: int | None = None

    def __init__(self, bundle: Bundle, network: WaveNetNetwork, voice: HarmonicCodec) -> None:
        """voice: the codec of the model that guides."""
        self.name, self.runtime, self.rate, self.batch = bundle.name, network.runtime, bundle.rate, network.batch
        self.network, self.voice = network, voice

    def encode(self, audio: Sequence[Floats], notes: Sequence[Note]) -> list[Floats]:
        """See `Codec.encode`."""
        return self.voice.encode(audio, notes)

    def refine(self, audio: Sequence[Floats], notes: Sequence[Note], codes: Sequence[Floats]) -> list[Floats]:
        """See `Codec.refine`: the guide's."""
        return self.voice.refine(audio, notes, codes)

    def detail(
        self, audio: Sequence[Floats], notes: Sequence[Note], codes: Sequence[Floats]
    ) -> dict[str, npt.NDArray[np.generic]] | None:
        """See `Codec.detail`."""
        return self.voice.detail(audio, notes, codes)

    def transposed(
        self, codes: Sequence[Floats], notes: Sequence[Note], wanted: Sequence[Note], kept: Sequence[Kept | None]
    ) -> list[tuple[Floats, Kept | None]]:
        """See `Codec.transposed`: the guide's."""
        return self.voice.transposed(codes, notes, wanted, kept)

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
        """See `Codec.decode`. temperature scales the noise that is drawn and the fluctuation of the sines."""
        kept, loud = detail or [()] * len(notes), level or [None] * len(notes)
        out: list[Floats] = []
        for first in range(0, len(notes), self.batch):
            some = slice(first, first + self.batch)
            beside = among[some] if among else None
            out += self._decode(codes[some], notes[some], kept[some], loud[some], seed, temperature, beside)
        return out

    def levels(
        self, codes: Sequence[Floats], notes: Sequence[Note], *, detail: Sequence[Sequence[Kept]] | None = None
    ) -> list[Floats] | None:
        """See `Codec.levels`: the guide's."""
        return self.voice.levels(codes, notes, detail=detail)

    def _decode(
        self,
        codes: Sequence[Floats],
        notes: Sequence[Note],
        kept: Sequence[Sequence[Kept]],
        loud: Sequence[Floats | None],
        seed: int,
        temperature: float,
        among: Sequence[Among] | None,
    ) -> list[Floats]:
        frames = max(len(c) for c in codes)
        steps = frames * guide.STEPS * timbre.PER_CODE
        told = np.zeros((len(notes), frames, guide.TOLD), np.float32)
        source = np.zeros((len(notes), steps, guide.SOURCE), np.float32)
        noise = np.zeros((len(notes), steps, guide.BANDS), np.float32)
        said = self.voice.features(codes, notes)
        courses = self.voice.courses(notes, among, seed, temperature) if among else {}

        def lead(row: int) -> tuple[Floats, Floats, Partials]:
            note, rng = notes[row], notes[row].rng(seed)
            partials = voiced(said[row], note, kept[row], loud[row], rng, temperature, courses.get(note))
            if not kept[row]:
                partials = hushed(partials, known=False)
            turns = turned(note, among[row].place, seed) if among else None
            sines = synthesise(partials, rng, noise=False, turned=turns)
            drawn_by = hiss(note, among[row].place, seed) if among else rng
            levels, share = guide.scale(partials)
            led = np.pad(pqmf.analysis(sines[None], guide.BANDS)[0], ((1, 1), (0, 0)))
            told[row, : len(codes[row])] = guide.colour(partials)
            source[row, : len(levels)] = guide.source(led, levels, share)
            noise[row, : len(levels)] = drawn_by.standard_normal(levels.shape, dtype=np.float32) * guide.calm(share)
            levels[:, guide.SAID :] = 0
            return sines, levels, partials

        def mix(row: int) -> Floats:
            sines, levels, partials = led[row]
            made = pqmf.synthesis((drawn[row, : len(levels)] * levels)[None], guide.BANDS)[0]
            return np.asarray(sines + residue.held(made, partials, temperature))

        with ThreadPoolExecutor(self.voice.threads) as pool:
            led = list(pool.map(lead, range(len(notes))))
            pitch, velocity = np.array([n.pitch for n in notes]), np.array([n.velocity for n in notes])
            drawn = self.network.decode(told, pitch, velocity, noise, source=source, temperature=temperature)
            return list(pool.map(mix, range(len(notes))))
