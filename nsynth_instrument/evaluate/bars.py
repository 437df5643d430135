"""The voice's bars: what it must reach, and the figures that say how far it is.

All on notes that it was not trained on: whole instruments (the valid and test splits), or keys left out of training.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.signal

from ..audio import Audio, fit, resample
from ..bank import InstrumentBank
from ..codecs import Codec, Kept, known
from ..codecs.harmonic import HarmonicCodec
from ..codes import Morph
from ..dataset.example import Example
from ..dsp.additive import synthesise
from ..dsp.distance import log_spectral_distance
from ..dsp.hiss import CLEAN, hiss
from ..dsp.loudness import RATE as LOUDNESS_RATE
from ..dsp.loudness import loudest
from ..dsp.partials import RATE as PARTIALS_RATE
from ..dsp.pitch import cents_off
from ..dsp.steadiness import Movement, movement
from ..notes import KEYBOARD, Note
from .playing import from_one, mixes
from .recordings import HELD_OUT_KEYS, SECONDS, Recording, draw, hear, held_out, instrument_of
from .tones import steady

ALIKE = 0.7
"""Correlation of two waves from which on they are one recording."""

Tell = Callable[[str], None]

SUNG = (28, 96)
"""Keys at which a note must sing."""
AWAY = (12, -12, 3, -3)
"""Semitones from the one note that is known."""
LIVELY = {"strings": (48, 49), "choir": (52, 53), "flute": (73,), "organ": (19,), "trumpet": (56,)}
"""General MIDI programs whose notes move, and two that are steady."""
LIKE = {"strings": "string", "choir": "vocal", "flute": "flute", "organ": "organ", "trumpet": "brass"}
"""Families that stand for them in a set that knows no programs."""


@dataclass(frozen=True)
class Bar:
    """One figure. what: is measured; lab, bar: what a sketch reached, and what is asked; value: ours, in `unit`;
    others: further figures of the same notes; notes: how many; holds: whether the bar is reached, None where there is none.
    """

    what: str
    unit: str
    value: float
    notes: int
    lab: str = ""
    bar: str = ""
    holds: bool | None = None
    others: tuple[tuple[str, float], ...] = ()


def bars(codec: Codec, data: Sequence[Example], *, notes: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """Every figure in turn. notes: drawn for each."""
    yield from _distances(codec, data, notes, seed, tell)
    yield from _singing(codec, data, notes, seed, tell)
    yield from _away(codec, data, notes, seed, tell)
    yield from _keyboard(codec, data, max(1, notes // 12), seed, tell)
    yield from _movements(codec, data, max(2, notes // 10), seed, tell)
    yield from _modulation(codec, tell)


def _heard(codec: Codec, examples: Sequence[Example]) -> list[Recording]:
    return [hear(e, codec.rate) for e in examples]


def _lsd(recordings: Sequence[Recording], made: Sequence[Audio]) -> list[float]:
    return [log_spectral_distance(r.audio, fit(m, len(r.audio))) for r, m in zip(recordings, made, strict=True)]


def _both(values: Sequence[float]) -> tuple[float, tuple[str, float]]:
    return float(np.mean(values)), ("median", float(np.median(values)))


def _distances(codec: Codec, data: Sequence[Example], notes: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """LSD of notes at their own keys: by the network alone, and as a bank note with details."""
    for what, most, lab, also in (
        ("held-out pitches", 5.0, "6.1", lambda e: not held_out(e) and e.pitch in HELD_OUT_KEYS),
        ("held-out instruments", 6.0, "7.1", held_out),
    ):
        drawn = draw(data, notes, seed, also=also)
        if not drawn:
            continue
        tell(f"{what}: {len(drawn)} notes")
        heard = _heard(codec, drawn)
        audio, keys = [r.audio for r in heard], [r.note for r in heard]
        codes = known(codec, audio, keys)
        value, median = _both(_lsd(heard, codec.decode(codes, keys)))
        others = [median]
        if isinstance(codec, HarmonicCodec):
            at_once = codec.decode(codec.encode(audio, keys), keys)
            others.append(("codes not refined", float(np.mean(_lsd(heard, at_once)))))
        clear = [i for i, r in enumerate(heard) if r.pitched]
        plain = _lsd(heard, codec.decode(codes, keys, temperature=0.0)) if isinstance(codec, HarmonicCodec) else []
        if plain:
            others.append(("no fluctuation", float(np.mean(plain))))
        if plain and 0 < len(clear) < len(heard):
            others.append(("no fluctuation, pitched notes", float(np.mean([plain[i] for i in clear]))))
        if isinstance(codec, HarmonicCodec):
            bound = [synthesise(f, k.rng(0)) for f, k in zip(codec.analyse(audio, keys), keys, strict=True)]
            others.append(("no network", float(np.mean(_lsd(heard, bound)))))
        yield Bar(f"LSD, {what}", "dB", value, len(heard), lab, f"{most:.1f}", value <= most, tuple(others))
        kept = codec.detail(audio, keys, codes)
        if kept is not None and what == "held-out instruments":
            made = codec.decode(codes, keys, detail=[[Kept(kept, i)] for i in range(len(keys))])
            value, median = _both(_lsd(heard, made))
            what = "LSD of a bank note at its own key, with details"
            yield Bar(what, "dB", value, len(heard), "4.1", "4.2", value <= 4.2, (median,))


def _singing(codec: Codec, data: Sequence[Example], notes: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """Notes of held-out instruments at their own keys: whether the fundamental is in place, and no noise where there was none."""
    drawn = draw(data, notes, seed, also=lambda e: held_out(e) and SUNG[0] <= e.pitch <= SUNG[1])
    if not drawn:
        return
    tell(f"pitch and hiss: {len(drawn)} notes")
    heard = _heard(codec, drawn)
    keys = [r.note for r in heard]
    codes = known(codec, [r.audio for r in heard], keys)
    made = [fit(a, len(r.audio)) for a, r in zip(codec.decode(codes, keys), heard, strict=True)]
    off = np.abs([cents_off(a, codec.rate, r.note.pitch) for a, r in zip(made, heard, strict=True) if r.pitched])
    if len(off):
        share = 100 * float(np.mean(off <= 10))  # not a number is not in tune
        yield Bar(f"notes within 10 cents, keys {SUNG[0]} to {SUNG[1]}", "%", share, len(off), "33", "95", share >= 95)

    def fast(sound: Audio) -> Audio:
        return resample(sound, codec.rate, PARTIALS_RATE)

    noise = np.array([hiss(fast(r.audio), fast(a), r.note.pitch) for r, a in zip(heard, made, strict=True)])
    pitched = noise[np.isfinite(noise) & [r.pitched for r in heard]]
    noise = noise[np.isfinite(noise)]
    if len(noise):
        share, sung = (100 * float(np.mean(some <= CLEAN)) for some in (noise, pitched))
        others = (
            ("median of the loudest band, dB", float(np.median(noise))), ("worst, dB", float(noise.max())),
            ("of notes with a clear pitch", sung),
        )  # fmt: skip
        yield Bar("notes without hiss where the recording has none", "%", share, len(noise), "", "100", share == 100, others)


def _away(codec: Codec, data: Sequence[Example], notes: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """From one note: the same instrument and velocity at another key, beside the note itself resampled."""
    there = {(e.instrument_str, e.pitch, e.velocity): e for e in data if held_out(e)}
    for interval in AWAY:

        def partner(e: Example, interval: int = interval) -> Example | None:
            return there.get((e.instrument_str, e.pitch + interval, e.velocity))

        drawn = draw(data, notes, seed, also=lambda e: held_out(e) and partner(e) is not None)
        if not drawn:
            continue
        tell(f"{interval:+d} semitones: {len(drawn)} notes")
        sources, targets = _heard(codec, drawn), _heard(codec, [p for e in drawn if (p := partner(e)) is not None])
        made = from_one(codec, [instrument_of(codec, [s]) for s in sources], [t.note for t in targets])
        # A note played faster ends sooner: it is compared, as is ours then, while both are held.
        held = round((SECONDS - 1) * codec.rate * min(1.0, 2 ** (-interval / 12)))
        moved = [_moved(s.audio, interval, codec.rate, like=t.audio, frames=held) for s, t in zip(sources, targets, strict=True)]
        while_held = [log_spectral_distance(t.audio[:held], m[:held]) for t, m in zip(targets, made, strict=True)]
        resampled = [log_spectral_distance(t.audio[:held], m[:held]) for t, m in zip(targets, moved, strict=True)]
        what, lab = f"LSD, {interval:+d} semitones from one note", {12: "6.6"}.get(interval, "")
        if abs(interval) >= 12:
            whole, median = _both(_lsd(targets, made))
            others = (median, ("while held", float(np.mean(while_held))), ("resampling, while held", float(np.mean(resampled))))
            yield Bar(what, "dB", whole, len(targets), lab, "5.5", whole <= 5.5, others)
            continue
        # Samplers play one recording at several keys: there resampling is the truth itself, and nothing is learned.
        other = [i for i, (t, m) in enumerate(zip(targets, moved, strict=True)) if not same(t.audio, m, codec.rate)]
        if other:
            ours, theirs = (float(np.mean([v[i] for i in other])) for v in (while_held, resampled))
            everywhere = (("all: ours", float(np.mean(while_held))), ("all: resampling", float(np.mean(resampled))))
            yield Bar(
                f"{what}, while held, of another recording", "dB", ours, len(other), "7.0", "no worse than resampling",
                ours <= theirs, (("resampling", theirs), *everywhere),
            )  # fmt: skip


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


def _keyboard(codec: Codec, data: Sequence[Example], count: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """All 88 keys of instruments that are known by every other note: how far out of tune, and how even in level."""
    steps, own, semitones, off = [], [], [], []
    unheard = 0
    for name in _even_instruments(data, count, seed):
        loud = _one_velocity([e for e in data if e.instrument_str == name])
        tell(f"88 keys of {name} {loud[0].extra.get('preset_name', '')}")
        heard = _heard(codec, loud)
        instrument = instrument_of(codec, heard[::2])
        keys = [Note(p, heard[0].note.velocity) for p in KEYBOARD.pitches]
        sounds = mixes(codec, InstrumentBank.of([instrument]), [(Morph.of({instrument.name: 1.0}), k) for k in keys])
        made = dict(zip(KEYBOARD.pitches, sounds, strict=True))
        cents = np.array([cents_off(a, codec.rate, p) for p, a in made.items()])
        unheard += int(np.isnan(cents).sum())
        off += np.abs(cents[np.isfinite(cents)]).tolist()
        level = {p: loudest(resample(a, codec.rate, LOUDNESS_RATE)) for p, a in made.items()}
        within = [p for p in KEYBOARD.pitches if loud[0].pitch <= p <= loud[-1].pitch]
        semitones += [abs(level[b] - level[a]) for a, b in itertools.pairwise(within)]
        real = {r.note.pitch: loudest(resample(r.audio, codec.rate, LOUDNESS_RATE)) for r in heard}
        pairs = [(a, b) for a, b in itertools.pairwise(sorted(real)) if a in level and b in level]
        own += [abs(real[b] - real[a]) for a, b in pairs]
        steps += [abs(level[b] - level[a]) for a, b in pairs]
    if not steps:
        return
    middle, worst = (float(np.median(off)), float(np.max(off))) if off else (float("nan"), float("nan"))
    silent = (("without a clear pitch", float(unheard)),)
    yield Bar("f0 error over 88 keys, median", "cents", middle, len(off), "0.6", "0.3", middle <= 0.3, silent)
    yield Bar("f0 error over 88 keys, worst", "cents", worst, len(off), "6.5", "2", worst <= 2)
    for which, over, lab in (("mean", 0.5, "1.3"), ("max", 1.5, "5.2")):
        take = np.mean if which == "mean" else np.max
        value, real_value = float(take(steps)), float(take(own))
        yield Bar(
            f"level step between the set's neighbouring keys, {which}", "dB", value, len(steps), lab, f"real + {over}",
            value <= real_value + over, (("real", real_value), ("semitone steps", float(take(semitones)))),
        )  # fmt: skip


def _one_velocity(notes: Sequence[Example]) -> list[Example]:
    """Those of the velocity nearest 100, by key."""
    best = min({n.velocity for n in notes}, key=lambda v: abs(v - 100))
    return sorted((n for n in notes if n.velocity == best and 21 <= n.pitch <= 108), key=lambda n: n.pitch)


def _even_instruments(data: Sequence[Example], count: int, seed: int) -> list[str]:
    """Held-out instruments of twenty keys or more whose middle notes have a clear pitch."""
    by_name: dict[str, list[Example]] = {}
    for e in data:
        if held_out(e):
            by_name.setdefault(e.instrument_str, []).append(e)
    rng, names = np.random.default_rng(seed), sorted(by_name)
    out: list[str] = []
    for i in rng.permutation(len(names)):
        notes = _one_velocity(by_name[names[i]])
        if len(notes) < 20 or len(out) == count:
            continue
        middle = notes[len(notes) // 4 : 3 * len(notes) // 4 : 3]
        if all(np.isfinite(cents_off(n.audio(), n.sample_rate, n.pitch)) for n in middle):
            out.append(names[i])
    return out


def _movements(codec: Codec, data: Sequence[Example], count: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """How much notes move while held, beside how much they should."""
    for name in LIVELY:
        mine = [e for e in data if _is(e, name) and 40 <= e.pitch <= 90]
        # Never trained on, if there are such: whole instruments, else keys.
        for also in (held_out, lambda e: e.pitch in HELD_OUT_KEYS, lambda e: True):
            drawn = draw(mine, count, seed, also=also)
            if drawn:
                break
        if not drawn:
            continue
        tell(f"movement of {name}: {len(drawn)} notes")
        heard = [r for r in _heard(codec, drawn) if r.pitched]
        if not heard:
            continue
        keys = [r.note for r in heard]
        codes = known(codec, [r.audio for r in heard], keys)
        real = _moves(codec, [r.audio for r in heard], keys)
        ours = _moves(codec, codec.decode(codes, keys), keys)
        lively = name in ("strings", "choir", "flute")
        for what, unit, field in (("frame jitter", "dB", "jitter"), ("vibrato", "cents", "sway")):
            a, b = (float(np.mean([getattr(m, field) for m in some])) for some in (real, ours))
            asked = lively and (what == "vibrato") == (name == "flute")
            yield Bar(
                f"{what} of {name}", unit, b, len(keys), "1/6 of the original" if asked else "",
                "within 1.5 x of it" if asked else "", a / 1.5 <= b <= a * 1.5 if asked else None, (("original", a),),
            )  # fmt: skip


def _is(e: Example, name: str) -> bool:
    if "program" in e.extra:
        return e.extra.get("bank", 0) == 0 and e.extra["program"] in LIVELY[name]
    return e.instrument_family_str == LIKE[name]


def _moves(codec: Codec, sounds: Sequence[Audio], keys: Sequence[Note]) -> list[Movement]:
    return [movement(resample(a, codec.rate, PARTIALS_RATE), k.pitch) for a, k in zip(sounds, keys, strict=True)]


def _modulation(codec: Codec, tell: Tell) -> Iterator[Bar]:
    """What the codec does to tones that do not move at all."""
    keys = [Note(p, 100) for p in (57, 62, 64, 69, 76, 81, 86)]
    tell(f"false modulation: {len(keys)} steady tones")
    sounds = [steady(k.hz, codec.rate, SECONDS) for k in keys]
    codes = known(codec, sounds, keys)
    floor = _moves(codec, sounds, keys)
    ours, plain = (_moves(codec, codec.decode(codes, keys, temperature=t), keys) for t in (1.0, 0.0))

    def mean(moves: Sequence[Movement], field: str) -> float:
        return float(np.mean([getattr(m, field) for m in moves]))

    value = mean(ours, "stir")
    others = (
        ("no fluctuation", mean(plain, "stir")),
        ("at 31 or 62 Hz", mean(ours, "hum")),
        ("of the tone itself", mean(floor, "stir")),
    )
    what = "false modulation of a steady tone, all of it"
    yield Bar(what, "dB", value, len(keys), "0.1-0.7", "0.1", value <= 0.1, others)
