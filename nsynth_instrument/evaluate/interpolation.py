"""What lies between two instruments, by their codes and by plain mixing of their sounds.

How even the way, how exact the pitch, one sound or two; the paper judged this by ear alone (Engel et al. 2017).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..audio import Audio, fit, resample
from ..bank import Instrument, InstrumentBank
from ..codecs import Codec
from ..codes import Morph
from ..dsp.fusion import Middle, between, listen
from ..dsp.loudness import RATE as FULL_RATE
from ..dsp.loudness import loudest
from ..dsp.mfcc import mfcc
from ..dsp.pitch import cents_off
from ..notes import Note
from .judges import RATE, ClassifierJudge
from .playing import mixes
from .recordings import SECONDS

Tell = Callable[[str], None]
Floats = npt.NDArray[np.float32]

MIXES = (0.0, 0.25, 0.5, 0.75, 1.0)
VELOCITY = 100
OVERLAP = 12
"""Semitones that two instruments must have in common."""
_MOMENTS = (0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.0)
"""s between which a note's cepstra are averaged: a timbre is also how it moves."""


@dataclass(frozen=True)
class Path:
    """A way from one timbre to another through the mixes. steps: lengths between neighbours, in shares of the straight way from
    end to end (4,); places: how far along that straight way each mix lies (5,), 0 and 1 at the ends.
    """

    steps: npt.NDArray[np.float64]
    places: npt.NDArray[np.float64]

    @classmethod
    def of(cls, points: npt.NDArray[np.floating]) -> Path:
        """Of points (5, dimensions); the ends must differ."""
        whole = points[-1] - points[0]
        length = float(np.linalg.norm(whole))
        return cls(np.linalg.norm(np.diff(points, axis=0), axis=1) / length, (points - points[0]) @ whole / length**2)

    @property
    def monotone(self) -> bool:
        """Whether each mix lies further on than the one before."""
        return bool((np.diff(self.places) > 0).all())

    @property
    def largest(self) -> float:
        """The largest step over the mean step: 1 is even, 4 is one leap."""
        return float(self.steps.max() / self.steps.mean())

    @property
    def detour(self) -> float:
        """Length of the way over the straight one."""
        return float(self.steps.sum())


@dataclass(frozen=True)
class Way:
    """One pair by one means. paths: in each timbre space, by name; cents: of the three middles; louder: dB by which a middle lies
    outside the loudness of the ends, the worst; middles: each against the ends.
    """

    pair: tuple[str, str]
    note: Note
    paths: dict[str, Path]
    cents: tuple[float, ...]
    louder: float
    middles: tuple[Middle, ...]


def pairs(instruments: Sequence[Instrument], count: int, seed: int) -> list[tuple[Instrument, Instrument, Note]]:
    """`count` pairs that `seed` draws, all instruments about as often, each with a note in the middle of what both play."""
    rng = np.random.default_rng(seed)
    found = []
    for a, b in itertools.combinations(instruments, 2):
        low, high = max(a.pitches.min(), b.pitches.min()), min(a.pitches.max(), b.pitches.max())
        if high - low >= OVERLAP:
            found.append((a, b, Note(int(low + high) // 2, VELOCITY)))
    used = dict.fromkeys((i.name for i in instruments), 0)
    out: list[tuple[Instrument, Instrument, Note]] = []
    rest = [found[i] for i in rng.permutation(len(found))]
    while rest and len(out) < count:
        rest.sort(key=lambda p: used[p[0].name] + used[p[1].name])
        chosen = rest.pop(0)
        used[chosen[0].name] += 1
        used[chosen[1].name] += 1
        out.append(chosen)
    return out


def ways(
    codec: Codec,
    bank: InstrumentBank,
    chosen: Sequence[tuple[Instrument, Instrument, Note]],
    judge: ClassifierJudge,
    tell: Tell,
) -> Iterator[tuple[Way, Way]]:
    """Each pair by its codes and by plain mixing."""
    samples = round(SECONDS * codec.rate)
    for n, (a, b, note) in enumerate(chosen):
        tell(f"{n + 1} of {len(chosen)}: {a.name} and {b.name}, key {note.pitch}")
        made = mixes(codec, bank, [(Morph.between(a.name, b.name, m), note) for m in MIXES])
        latent = [fit(x, samples) for x in made]
        plain = [np.asarray(latent[0] * np.float32(1 - m) + latent[-1] * np.float32(m), np.float32) for m in MIXES]
        yield tuple(_way((a.name, b.name), note, s, codec.rate, judge) for s in (latent, plain))  # type: ignore[misc]


def _way(pair: tuple[str, str], note: Note, sounds: Sequence[Audio], rate: int, judge: ClassifierJudge) -> Way:
    low, full = ([resample(s, rate, to) for s in sounds] for to in (RATE, FULL_RATE))
    spaces = {"classifier": judge.hear(low).timbre, "MFCC": np.stack([_cepstra(s) for s in low])}
    heard = [listen(s, note.pitch) for s in full]
    loud = [loudest(s) for s in full]
    outside = [max(min(loud[0], loud[-1]) - x, x - max(loud[0], loud[-1]), 0.0) for x in loud[1:-1]]
    return Way(
        pair, note, {name: Path.of(points) for name, points in spaces.items()},
        tuple(cents_off(s, FULL_RATE, note.pitch) for s in full[1:-1]), max(outside),
        tuple(between(h, heard[0], heard[-1]) for h in heard[1:-1]),
    )  # fmt: skip


def _cepstra(audio: Audio) -> Floats:
    """Means of the coefficients but the first, the level's, over moments of a note."""
    frames = mfcc(audio)[:, 1:]
    cuts = [round(s / SECONDS * len(frames)) for s in _MOMENTS]
    return np.concatenate([frames[a : max(b, a + 1)].mean(axis=0) for a, b in itertools.pairwise(cuts)])


@dataclass(frozen=True)
class Figure:
    """One line of the summary: by codes, and by plain mixing."""

    what: str
    latent: str
    mixed: str


def summary(found: Sequence[tuple[Way, Way]]) -> list[Figure]:
    """All pairs in a few figures."""
    latent, mixed = (_figures([pair[i] for pair in found]) for i in (0, 1))
    return [Figure(what, value, mixed[what]) for what, value in latent.items()]


def _figures(ws: Sequence[Way]) -> dict[str, str]:
    out: dict[str, str] = {}
    for space in ws[0].paths:
        paths = [w.paths[space] for w in ws]
        out[f"{space}: pairs whose way is monotone"] = _share([p.monotone for p in paths])
        out[f"{space}: largest step over the mean, mean (1 is even, 4 a leap)"] = f"{np.mean([p.largest for p in paths]):.2f}"
        out[f"{space}: way over the straight way, mean"] = f"{np.mean([p.detour for p in paths]):.2f}"
    off = np.abs([c for w in ws for c in w.cents if np.isfinite(c)])
    halfway = [w.middles[len(w.middles) // 2] for w in ws]
    told = [m.sum for m in halfway if np.isfinite(m.sum)]
    return out | {
        "cents off at the middles, median": f"{np.median(off):.2f}" if len(off) else "",
        "cents off at the middles, worst": f"{np.max(off):.2f}" if len(off) else "",
        "middles without a clear pitch": _share([not np.isfinite(c) for w in ws for c in w.cents]),
        "loudness outside the ends', dB, worst": f"{max(w.louder for w in ws):.1f}",
        "halfway, two by onsets": _share([m.onsets_two for m in halfway]),
        "halfway, two by beating": _share([m.beating_two for m in halfway]),
        "halfway, two by courses": _share([m.courses_two for m in halfway]),
        "halfway, two by any of these": _share([m.two for m in halfway]),
        "halfway, courses: 0 between the ends', 1 their sum, median": f"{np.median(told):.2f} over {len(told)}" if told else "",
    }


def _share(flags: Sequence[bool]) -> str:
    return f"{sum(flags)} of {len(flags)}"
