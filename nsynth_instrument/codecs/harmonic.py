"""The harmonic codec: audio -> partials -> codes, and codes -> partials -> audio at 48 kHz, in tune by construction."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..bundle import Bundle
from ..dsp import detail as details
from ..dsp import fading, keeping, levels, lockstep, timbre, tremor
from ..dsp.additive import noise_bands, played, synthesise, tones
from ..dsp.analysis import analyse
from ..dsp.cosines import Bytes
from ..dsp.fluctuation import enliven
from ..dsp.hush import hushed
from ..dsp.partials import HOP, RATE, Partials, silenced
from ..dsp.pitch import cents_off, thinness
from ..dsp.quiet import quieted
from ..dsp.thinning import thinned
from ..dsp.tuning import exact, in_tune, tuned
from ..notes import Note
from . import Among, Kept, Mixed, Place, hiss, knowing
from .refine import Differentiable, refined
from .transposition import BOUND, Transposition, added, familiar

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

SIGNS = 1 << 20
"""Part of a note's random streams that says which way its partials turn along the second axis of a square."""
HEARD = 1 << 21
"""Part of them by which a note is made to be heard before it is kept."""


class HarmonicNetwork(Protocol):
    """The two halves of the network on some runtime; shapes as in `nets.harmonic.Harmonic`.

    together: how many notes it works on at a time, in the thread that asks; 0 if it is best asked for all at once.
    """

    runtime: str
    together: int

    def encode(self, heard: Floats, told: Floats, /) -> Floats:
        """(batch, frames, IN), (batch, frames, COND) -> (batch, frames / 4, 16)."""
        ...

    def decode(self, codes: Floats, told: Floats, told_fast: Floats, /) -> Floats:
        """(batch, n, 16), (batch, n, COND), (batch, 4 n, COND) -> (batch, 4 n, OUT)."""
        ...


class HarmonicCodec:
    """A `Codec` at 48 kHz; analysis and synthesis run in threads, a note each."""

    rate = RATE
    batch = 16
    pitched = True
    frames: int | None = None

    def __init__(
        self,
        bundle: Bundle,
        network: HarmonicNetwork,
        gradient: Callable[[], Differentiable],
        keys: Callable[[], Transposition | None] = lambda: None,
        *,
        threads: int | None = None,
    ) -> None:
        """gradient: makes the network's other half again, for codes to be refined by; keys: what says codes of other keys, if
        the model has it. Each is asked for once, if ever.
        """
        self.name, self.network, self.runtime, self._gradient = bundle.name, network, network.runtime, gradient
        self._keys = keys
        self.threads = threads or os.cpu_count() or 1
        self._heard: list[Floats] = []
        self._features: list[Partials] = []

    def analyse(self, audio: Sequence[Floats], notes: Sequence[Note]) -> list[Partials]:
        """Features of each note, frames a multiple of four; the last call's are remembered, since a bank asks twice."""
        if len(audio) == len(self._heard) and all(a is b for a, b in zip(audio, self._heard, strict=True)):
            return self._features
        step = timbre.PER_CODE * HOP
        padded = [np.pad(np.asarray(a, np.float32), (0, -len(a) % step)) for a in audio]
        with ThreadPoolExecutor(self.threads) as pool:
            self._heard, self._features = list(audio), list(pool.map(lambda a, n: analyse(a, n.pitch), padded, notes))
        return self._features

    def encode(self, audio: Sequence[Floats], notes: Sequence[Note]) -> list[Floats]:
        """See `Codec.encode`."""
        return self.encode_partials(self.analyse(audio, notes), notes)

    @cached_property
    def decoder(self) -> Differentiable:
        """See `refined`."""
        return self._gradient()

    @cached_property
    def keys(self) -> Transposition | None:
        """See `Transposition`."""
        return self._keys()

    def refine(self, audio: Sequence[Floats], notes: Sequence[Note], codes: Sequence[Floats]) -> list[Floats]:
        """See `Codec.refine`, and `refined`."""
        decoder = self.decoder
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(lambda c, f, n: refined(c, f, n, decoder), codes, self.analyse(audio, notes), notes))

    def encode_partials(self, features: Sequence[Partials], notes: Sequence[Note]) -> list[Floats]:
        """Codes (frames / 4, 16) of notes already analysed."""
        out: list[Floats] = []
        for f, n in zip(features, notes, strict=True):
            told = timbre.condition(n.pitch, n.velocity, timbre.frame_times(len(f)))
            out.append(self.network.encode(timbre.heard(f)[None], told[None])[0])
        return out

    def detail(
        self, audio: Sequence[Floats], notes: Sequence[Note], codes: Sequence[Floats]
    ) -> dict[str, npt.NDArray[np.generic]] | None:
        """See `Codec.detail`."""
        features = self.analyse(audio, notes)
        with ThreadPoolExecutor(self.threads) as pool:
            kept = keeping.stack(list(pool.map(_kept, features, audio, notes, self.features(codes, notes))))
        if self.keys is not None:
            kept |= self._known(self.keys, features, notes, codes)
        return kept

    def _known(
        self, keys: Transposition, features: Sequence[Partials], notes: Sequence[Note], codes: Sequence[Floats]
    ) -> dict[str, npt.NDArray[np.generic]]:
        """What `transposed` needs of notes. A sound is known as loud as it was learned: each is heard louder and softer, too."""

        def heard(gains: Sequence[int]) -> list[Floats]:
            return self.encode_partials([f.louder(g) for f, g in zip(features, gains, strict=True)], notes)

        missed = np.stack([keys.missed(heard([gain] * len(notes)), notes) for gain in knowing.GAINS])
        gains = [least(knowing.GAINS, m) for m in missed.T]
        as_known = heard(gains)
        return {
            knowing.FAMILIAR: familiar(keys.missed(as_known, notes)).astype(np.float16),
            knowing.GAIN: np.array(gains, np.int8),
            knowing.ADDED: np.stack([added(c, h) for c, h in zip(codes, as_known, strict=True)]),
        }

    def transposed(
        self, codes: Sequence[Floats], notes: Sequence[Note], wanted: Sequence[Note], kept: Sequence[Kept | None]
    ) -> list[tuple[Floats, Kept | None]]:
        """See `Codec.transposed`, and `Transposition`; without details a sound counts as unknown."""
        out: list[tuple[Floats, Kept | None]] = [(c, None) for c in codes]
        if self.keys is None:
            return out
        known = np.array([0.0 if k is None else knowing.familiar(k) for k in kept])
        away = [b.pitch - a.pitch for a, b in zip(notes, wanted, strict=True)]
        surely, maybe = (np.array([fading.share(f, d) for d in away]) for f in fading.TRANSPOSED)
        sure, guessed = known * surely, (1 - known) * maybe
        there = [i for i, k in enumerate(kept) if k is not None and sure[i] + guessed[i] > 0]
        if not there:
            return out
        same: dict[tuple[int, int], Floats] = {}
        plain = []
        for i in there:
            k = kept[i]
            assert k is not None
            if (id(k.detail), k.note) not in same:
                same[id(k.detail), k.note] = codes[i] - knowing.added(k, len(codes[i]))
            plain.append(same[id(k.detail), k.note])
        said = self.keys(plain, [notes[i] for i in there], [wanted[i] for i in there], [known[i] for i in there])
        for i, heard, (drift, lost) in zip(there, plain, said, strict=True):
            # Refining helps a strange sound's other keys, and a familiar one's not.
            moved = codes[i] + sure[i] * (heard - codes[i]) + (sure[i] + guessed[i]) * drift
            softer = lost.louder(-knowing.gain(kept[i]))
            out[i] = np.clip(moved, -BOUND, BOUND).astype(np.float32), Kept(softer, 0, sure[i]) if sure[i] else None
        return out

    def features(self, codes: Sequence[Floats], notes: Sequence[Note], *, release: float | None = None) -> list[timbre.Said]:
        """What the network says of each note; `release` in s, by default 1 s before the end (NSynth's notes)."""
        out: list[timbre.Said] = []
        for first in range(0, len(notes), self.batch):
            some = range(first, min(first + self.batch, len(notes)))
            n = max(len(codes[i]) for i in some)
            z = np.stack([np.pad(codes[i], ((0, n - len(codes[i])), (0, 0)), mode="edge") for i in some]).astype(np.float32)
            told, fast = [], []
            for i in some:
                off = release if release is not None else len(codes[i]) * timbre.PER_CODE * HOP / RATE - 1.0
                told.append(timbre.condition(notes[i].pitch, notes[i].velocity, timbre.code_times(n), off))
                fast.append(timbre.condition(notes[i].pitch, notes[i].velocity, timbre.frame_times(4 * n), off))
            raw = self.network.decode(z, np.stack(told), np.stack(fast))
            out += [timbre.say(raw[j, : 4 * len(codes[i])], notes[i].hz) for j, i in enumerate(some)]
        return out

    def _each(
        self, codes: Sequence[Floats], notes: Sequence[Note], do: Callable[[int, timbre.Said], Floats]
    ) -> list[Floats]:
        """`do` of each note's number and of what the network says of it, in threads; it is asked there, for some notes at a time,
        or before for all."""
        together = self.network.together
        said, size = [] if together else self.features(codes, notes), max(1, min(together, -(-len(notes) // self.threads)))

        def some(first: int) -> list[Floats]:
            of = slice(first, first + size)
            return [do(i, s) for i, s in enumerate(self.features(codes[of], notes[of]) if together else said[of], first)]

        with ThreadPoolExecutor(self.threads) as pool:
            return [made for part in pool.map(some, range(0, len(notes), size)) for made in part]

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
        """See `Codec.decode`. temperature scales the fluctuation that is sampled; 0 leaves smooth partials."""
        kept, loud = detail or [()] * len(notes), level or [None] * len(notes)
        courses = self.courses(notes, among, seed, temperature) if among else {}

        def one(i: int, said: timbre.Said) -> Floats:
            note, rng = notes[i], notes[i].rng(seed)
            partials = voiced(said, note, kept[i], loud[i], rng, temperature, courses.get(note))
            if not among:
                return exact(partials, note.pitch, rng)
            return synthesise(partials, rng, hiss=hiss(note, among[i].place, seed), turned=turned(note, among[i].place, seed))

        return self._each(codes, notes, one)

    def courses(self, notes: Sequence[Note], among: Sequence[Among], seed: int, temperature: float) -> dict[Note, Doubles]:
        """For each note the frequencies that its morph's positions share, in tune at all of them (see `dsp.lockstep`)."""
        places = {note: {**a.ends, **a.between} for note, a in zip(notes, among, strict=True)}
        ends = len(among[0].ends)
        every = [(note, m) for note, some in places.items() for m in some.values()]
        said = iter(self.features([m.codes for _, m in every], [note for note, _ in every]))

        def one(note: Note, mixed: Mapping[Place, Mixed], words: Sequence[timbre.Said]) -> Doubles:
            found, phases, noises, times = [], [], [], thinness(RATE, note.hz)
            for word, (place, m) in zip(words, mixed.items(), strict=True):
                rng = note.rng(seed)
                found.append(spoken(word, note, m.detail, m.level, rng, temperature, alone=False))
                phases.append(rng.random((found[-1].level.shape[1],)) + turned(note, place, seed))
                noises.append(thinned(noise_bands(found[-1].noise, hiss(note, place, seed)), times))

            def off(i: int, low: Partials) -> float:
                audio = tones(low, phases[i][: low.level.shape[1]], thin=2**times)
                return cents_off(audio + noises[i], RATE / 2**times, note.pitch)

            return lockstep.tuned(lockstep.course(found[:ends]), found, off)

        with ThreadPoolExecutor(self.threads) as pool:
            words = [[next(said) for _ in some] for some in places.values()]
            return dict(zip(places, pool.map(one, places, places.values(), words), strict=True))

    def levels(
        self, codes: Sequence[Floats], notes: Sequence[Note], *, detail: Sequence[Sequence[Kept]] | None = None
    ) -> list[Floats]:
        """See `Codec.levels`: the course of `dsp.levels`."""
        kept = detail or [()] * len(notes)
        return self._each(codes, notes, lambda i, said: levels.course(_detailed(said, notes[i], kept[i]), notes[i].hz))


def voiced(
    said: timbre.Said,
    note: Note,
    kept: Sequence[Kept],
    loud: Floats | None,
    rng: np.random.Generator,
    temperature: float,
    shared: Doubles | None = None,
) -> Partials:
    """What is synthesised of what was said: see `spoken`; in tune, or on the course that is `shared` with others."""
    partials = spoken(said, note, kept, loud, rng, temperature, alone=shared is None)
    return silenced(in_tune(partials, note.pitch) if shared is None else lockstep.in_step(partials, shared))


def spoken(
    said: timbre.Said,
    note: Note,
    kept: Sequence[Kept],
    loud: Floats | None,
    rng: np.random.Generator,
    temperature: float,
    *,
    alone: bool = True,
) -> Partials:
    """What was said with details added, at its level, and fluctuation of `temperature` drawn; beside a bank's notes hushed.

    alone: whether it may be of two oscillators that beat, which would beat with the other positions of a morph, too.
    """
    told = said if alone else None
    said = _detailed(said, note, kept)
    if loud is not None:
        said = levels.levelled(said, note.hz, loud)
    partials = tremor.slowed(enliven(said, note.hz, rng, temperature, told=told))
    known = all(k.away == 0 and not isinstance(k.detail, details.Means) for k in kept)
    return hushed(partials, known=known) if kept else partials


def turned(note: Note, place: Place, seed: int) -> Doubles:
    """Turns (SLOTS,) by which a position's partials begin later; see `lockstep.turns`."""
    return lockstep.turns(place, note.rng(seed, part=SIGNS))


def _kept(features: Partials, audio: Floats, note: Note, said: timbre.Said) -> dict[str, Bytes]:
    """What is kept of a note of which `said` was said, so that it hisses no more than its recording."""

    def made(tried: Partials, draw: int) -> tuple[Floats, Floats]:
        found, rng = Kept(keeping.stack([keeping.keep(tried, said)], 1), 0), note.rng(0, part=HEARD + draw)
        partials = voiced(said, note, [found], None, rng, 1.0)
        phase, noise = rng.random((partials.level.shape[1],)), noise_bands(partials.noise, rng)
        if draw % 2:  # as a guide
            return played(partials, phase, noise), played(partials, phase, None)
        whole, partials = tuned(partials, note.pitch, phase, noise)
        return whole, played(partials, phase, None)

    return keeping.keep(quieted(features, np.asarray(audio, np.float32), note.pitch, made), said)


def _detailed(said: timbre.Said, note: Note, kept: Sequence[Kept]) -> timbre.Said:
    """What was said, with what is known of other notes."""
    found = []
    for k in kept:
        detail = knowing.detail(k, len(said.level))
        found.append((detail if k.at is None else replace(detail, at=k.at), k.weight))
    return details.add(said, note.hz, found)


def least(at: Sequence[int], found: Floats) -> int:
    """Where the parabola through the least of what was found and its neighbours is least."""
    i = int(found.argmin())
    if not 0 < i < len(found) - 1:
        return at[i]
    a, b, c = (float(x) for x in found[i - 1 : i + 2])
    return at[i] + round((at[1] - at[0]) * (a - c) / max(2 * (a - 2 * b + c), 1e-9))
