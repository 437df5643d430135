"""From one note, another key: as far from its recording as the note itself is when it is played faster or slower?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import scipy.signal

from ..audio import Audio, fit, resample
from ..codecs import Codec
from ..dataset.example import Example
from ..dsp.distance import log_spectral_distance
from .bar import Bar, Tell, distance, lsd
from .playing import from_one
from .recordings import SECONDS, draw, hear, held_out, instrument_of, new_key, of_sketch, tells_programs

OCTAVES, NEAR = (12, -12), (3, -3)
"""Semitones from the one note that is known."""
ALIKE = 0.7
"""Correlation of two waves from which on they are one recording."""

_Pair = tuple[Example, Example]
_Which = Callable[[Example, Example], bool]


def away(codec: Codec, data: Sequence[Example], notes: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """LSD of the same instrument and velocity at another key, beside the note itself resampled."""
    for interval in OCTAVES:
        yield from _octave(codec, data, interval, notes, seed, tell)
    for interval in NEAR:
        yield from _near(codec, data, interval, notes, seed, tell)


def _octave(codec: Codec, data: Sequence[Example], interval: int, notes: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """Of the sketch's programs, from held-out keys to any, since the sketch had trained on both, and to held-out ones; and of
    held-out instruments."""
    sketch = [e for e in data if of_sketch(e) and not held_out(e)]
    what = f"LSD, {interval:+d} semitones from one note"
    ours = f"{what} of the sketch's programs"
    for name, pairs, most in (
        (ours, _pairs(sketch, interval, notes, seed, also=lambda a, _: new_key(a)), 5.5),
        (f"{ours}, to a held-out key", _pairs(sketch, interval, notes, seed, also=lambda _, b: new_key(b)), 5.5),
        (what, _pairs(filter(held_out, data), interval, notes, seed), None if tells_programs(data) else 5.5),
    ):
        if pairs:
            tell(f"{name}: {len(pairs)} notes")
            whole, held, resampled = _measured(codec, pairs, interval)
            others = (("while held", float(np.mean(held))), ("resampling, while held", float(np.mean(resampled))))
            yield distance(name, whole, others, lab={12: "6.6"}.get(interval, ""), most=most)


def _near(codec: Codec, data: Sequence[Example], interval: int, notes: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """Of held-out instruments: where the other key is of another recording, and anywhere."""
    held = list(filter(held_out, data))

    def possible(a: Example, b: Example) -> bool:
        return another(a, b) is not False

    def unlike(a: Example, b: Example) -> bool:
        return another(a, b) or not _same_wave(a, b, interval, codec.rate)

    what = f"LSD, {interval:+d} semitones from one note, while held"
    for name, pairs, asked in (
        # Samplers play one recording at several keys: there resampling is the truth itself, and nothing is learned.
        (f"{what}, of another recording", _pairs(held, interval, notes, seed, also=possible, usable=unlike), True),
        (what, _pairs(held, interval, notes, seed), False),
    ):
        if pairs:
            tell(f"{name}: {len(pairs)} notes")
            _, ours, resampled = _measured(codec, pairs, interval)
            value, beside = float(np.mean(ours)), float(np.mean(resampled))
            lab, bar, holds = ("7.0", "no worse than resampling", value <= beside) if asked else ("", "", None)
            yield Bar(name, "dB", value, len(pairs), lab, bar, holds, (("resampling", beside),))


def _pairs(
    data: Iterable[Example],
    interval: int,
    count: int,
    seed: int,
    *,
    also: _Which = lambda a, b: True,
    usable: _Which = lambda a, b: True,
) -> list[_Pair]:
    """`count` notes, or all if there are fewer, and what their instruments have `interval` semitones away; see `draw`."""
    there = {(e.instrument_str, e.pitch, e.velocity): e for e in data}

    def fits(e: Example, which: _Which) -> bool:
        b = there.get((e.instrument_str, e.pitch + interval, e.velocity))
        return b is not None and which(e, b)

    drawn = draw(there.values(), count, seed, also=lambda e: fits(e, also), usable=lambda e: fits(e, usable))
    return [(e, there[e.instrument_str, e.pitch + interval, e.velocity]) for e in drawn]


def _measured(codec: Codec, pairs: Sequence[_Pair], interval: int) -> tuple[list[float], list[float], list[float]]:
    """LSD (dB) of the second of each pair made of the first: whole, while it is held, and by resampling while it is held."""
    sources, targets = ([hear(e, codec.rate) for e in some] for some in zip(*pairs, strict=True))
    made = from_one(codec, [instrument_of(codec, [s]) for s in sources], [t.note for t in targets])
    # A note played faster ends sooner: it is compared, as is ours then, while both are held.
    held = round((SECONDS - 1) * codec.rate * min(1.0, 2 ** (-interval / 12)))
    moved = [_moved(s.audio, interval, codec.rate, like=t.audio, frames=held) for s, t in zip(sources, targets, strict=True)]
    ours, resampled = (
        [log_spectral_distance(t.audio[:held], m[:held]) for t, m in zip(targets, some, strict=True)] for some in (made, moved)
    )
    return lsd(targets, made), ours, resampled


def another(a: Example, b: Example) -> bool | None:
    """Whether two notes of an instrument are of different recordings, of no sample in common; None where not both say theirs."""
    ours, theirs = _samples(a), _samples(b)
    return not ours & theirs if ours and theirs else None


def _samples(e: Example) -> set[int]:
    """Places of the note's samples in its soundfont; none where the set does not say them in the way of `dataset build`."""
    said = e.extra.get("samples")
    return set(said) if isinstance(said, list) and all(type(i) is int for i in said) else set()


def _same_wave(a: Example, b: Example, interval: int, rate: int) -> bool:
    x, y = hear(a, rate).audio, hear(b, rate).audio
    return same(y, _moved(x, interval, rate, like=y, frames=len(y)), rate)


def same(a: Audio, b: Audio, rate: int) -> bool:
    """Whether two notes are one recording: whether, shifted by at most 50 ms, their waves are alike in the first second."""
    x, y = (v[round(0.05 * rate) : round(1.05 * rate)].astype(np.float64) for v in (a, b))
    like = scipy.signal.correlate(x, y, "same", method="fft") / max(float(np.linalg.norm(x) * np.linalg.norm(y)), 1e-12)
    near = round(0.05 * rate)
    return bool(np.abs(like[len(x) // 2 - near : len(x) // 2 + near + 1]).max() > ALIKE)


def _moved(audio: Audio, interval: float, rate: int, *, like: Audio, frames: int) -> Audio:
    """A note played faster by `interval` semitones, at the level that `like` has in its first `frames` frames."""
    moved = fit(resample(audio, rate * 2 ** (interval / 12), rate), len(like))
    here, there = (float(np.sqrt(np.mean(a[:frames] ** 2))) for a in (moved, like))
    return np.asarray(moved * np.float32(there / max(here, 1e-9)), dtype=np.float32)
