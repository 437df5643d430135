"""Notes at their own keys: how far they are from their recordings, whether they are in tune, and free of hiss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..audio import Audio, fit, resample
from ..codecs import Codec, Kept, known
from ..codecs.harmonic import HarmonicCodec
from ..dataset.example import Example
from ..dsp.additive import synthesise
from ..dsp.hiss import CLEAN, hiss
from ..dsp.partials import RATE as PARTIALS_RATE
from ..dsp.pitch import cents_off
from .bar import Bar, Tell, distance, lsd
from .recordings import KEYS, Recording, clear, draw, hear, held_out, new_key, of_sketch, tells_programs

SUNG = (28, 96)
"""Keys at which a note must sing."""

_Kind = tuple[str, Callable[[Example], bool], Callable[[Example], bool], float | None, str, bool]
"""What notes are called; which they are, and which of those that would be drawn; how far they may be off (dB), if that is asked
of them, and were in the sketch; whether their details are measured."""


def _kinds(data: Sequence[Example]) -> Iterator[_Kind]:
    """Where a set tells programs, the bars are asked of material like the sketch's, and the figures of all stand beside."""

    def any_note(_: Example) -> bool:
        return True

    told = tells_programs(data)
    if told:
        yield "held-out pitches of the sketch's programs", lambda e: of_sketch(e) and new_key(e), any_note, 5.0, "6.1", True
    yield "held-out pitches", new_key, any_note, None if told else 5.0, "6.1", False
    if told:
        what = f"held-out instruments, clear pitch, keys {KEYS.start} to {KEYS.stop - 1}"
        yield what, lambda e: held_out(e) and e.pitch in KEYS, clear, 6.0, "7.1", False
    yield "held-out instruments", held_out, any_note, None if told else 6.0, "7.1", True


def distances(codec: Codec, data: Sequence[Example], notes: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """LSD by the network alone, and as a bank note with details."""
    for what, also, usable, most, lab, detailed in _kinds(data):
        drawn = draw(data, notes, seed, also=also, usable=usable)
        if not drawn:
            continue
        tell(f"{what}: {len(drawn)} notes")
        heard = [hear(e, codec.rate) for e in drawn]
        audio, keys = [r.audio for r in heard], [r.note for r in heard]
        codes = known(codec, audio, keys)
        others: list[tuple[str, float]] = []
        if isinstance(codec, HarmonicCodec):
            at_once, plain = codec.decode(codec.encode(audio, keys), keys), codec.decode(codes, keys, temperature=0.0)
            bound = [synthesise(f, k.rng(0)) for f, k in zip(codec.analyse(audio, keys), keys, strict=True)]
            still, pitched = lsd(heard, plain), [r.pitched for r in heard]
            others += [("codes not refined", float(np.mean(lsd(heard, at_once)))), ("no fluctuation", float(np.mean(still)))]
            if any(pitched) and not all(pitched):
                others.append(("no fluctuation, pitched notes", float(np.mean(np.array(still)[pitched]))))
            others.append(("no network", float(np.mean(lsd(heard, bound)))))
        yield distance(f"LSD, {what}", lsd(heard, codec.decode(codes, keys)), others, lab=lab, most=most)
        kept = codec.detail(audio, keys, codes) if detailed else None
        if kept is not None:
            made = codec.decode(codes, keys, detail=[[Kept(kept, i)] for i in range(len(keys))])
            name = f"LSD of a bank note at its own key, with details, {what}"
            yield distance(name, lsd(heard, made), lab="4.1", most=4.2 if most is not None else None)


def singing(codec: Codec, data: Sequence[Example], notes: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """Of held-out instruments: whether the fundamental is in place, and no noise where there was none.

    The latter is asked of a note as it is played, with its details if the codec keeps any; by codes alone it is told.
    """
    drawn = draw(data, notes, seed, also=lambda e: held_out(e) and SUNG[0] <= e.pitch <= SUNG[1])
    if not drawn:
        return
    tell(f"pitch and hiss: {len(drawn)} notes")
    heard = [hear(e, codec.rate) for e in drawn]
    keys = [r.note for r in heard]
    codes = known(codec, [r.audio for r in heard], keys)
    made = _fitting(codec.decode(codes, keys), heard)
    off = np.abs([cents_off(a, codec.rate, r.note.pitch) for a, r in zip(made, heard, strict=True) if r.pitched])
    if len(off):
        share = 100 * float(np.mean(off <= 10))  # not a number is not in tune
        yield Bar(f"notes within 10 cents, keys {SUNG[0]} to {SUNG[1]}", "%", share, len(off), "33", "95", share >= 95)

    what = "notes without hiss where the recording has none"
    kept = codec.detail([r.audio for r in heard], keys, codes)
    yield from _clean(what, codec, heard, made, asked=kept is None)
    if kept is not None:
        noted = codec.decode(codes, keys, detail=[[Kept(kept, i)] for i in range(len(keys))])
        yield from _clean(f"{what}, with details", codec, heard, _fitting(noted, heard), asked=True)


def _fitting(made: Sequence[Audio], heard: Sequence[Recording]) -> list[Audio]:
    return [fit(a, len(r.audio)) for a, r in zip(made, heard, strict=True)]


def _clean(what: str, codec: Codec, heard: Sequence[Recording], made: Sequence[Audio], *, asked: bool) -> Iterator[Bar]:
    def fast(sound: Audio) -> Audio:
        return resample(sound, codec.rate, PARTIALS_RATE)

    noise = np.array([hiss(fast(r.audio), fast(a), r.note.pitch) for r, a in zip(heard, made, strict=True)])
    pitched = noise[np.isfinite(noise) & [r.pitched for r in heard]]
    noise = noise[np.isfinite(noise)]
    if len(noise):
        share, sung = (100 * float(np.mean(some <= CLEAN)) for some in (noise, pitched))
        others = (
            ("median of the loudest band, dB", float(np.median(noise))), ("worst, dB", float(noise.max())),
            ("to within 3 dB", 100 * float(np.mean(noise <= CLEAN + 3))), ("of notes with a clear pitch", sung),
        )  # fmt: skip
        yield Bar(what, "%", share, len(noise), "", "100" if asked else "", share == 100 if asked else None, others)
