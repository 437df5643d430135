"""From takes to notes: where each begins and is let go, which key it is, in tune, with 1 s of release after its hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..audio import Audio, fade, fit, resample
from ..dsp import envelope
from ..dsp.detect import Found, detect
from ..dsp.envelope import Shape
from ..dsp.loudness import NOMINAL, by_velocity, loudest
from ..dsp.pitch import cents_off
from ..errors import AudioError, NsynthError
from ..notes import key_name
from .note import LONGEST, RATE, RELEASE, Sound
from .sources import Take

SHORTEST = 0.03
"""s; what is shorter is a click."""
SURE = 0.35
"""Strength from which a pitch that is heard counts more than a name."""
NEAR = 0.8
"""Semitones from its key within which a note is only out of tune."""
LET_GO = 0.2
"""s of release for a note whose recording breaks off, or loops."""
BY_NAME = "by its name"
UNCLEAR = "no clear pitch is heard"
BRIEF = 0.4
"""s; what is held for less ends by itself: stretched, a short note would be another."""
STILL = 3.0
"""s to which a note with a loop is held at least."""


@dataclass(frozen=True)
class Heard:
    """What was found in a take's sound. loop: frames, first and last played."""

    shape: Shape
    found: Found | None
    loop: tuple[int, int] | None


def prepare(takes: Sequence[Take], *, key: int | None = None, octave: int | None = None) -> tuple[list[Sound], list[str]]:
    """The takes as notes of one instrument, equally loud as others are, and what there is to tell.

    key: of a single take, where nothing may be trusted; octave: number that middle C has in the takes' names, if not to be
    found by listening. Takes that cannot be used are told and left out. Raises AudioError when none can.
    """
    heard: list[tuple[Take, Heard]] = []
    words: list[str] = []
    for take in takes:
        try:
            heard.append((take, listen(take)))
        except NsynthError as e:
            words.append(str(e))
    shift, said = (_convention(heard), "as they sound") if octave is None else (12 * (4 - octave), "as told")
    sounds: list[Sound] = []
    for take, h in heard:
        try:
            sounds.append(_note(take, h, shift, key))
        except NsynthError as e:
            words.append(str(e))
    if not sounds:
        raise AudioError(words[0] if len(takes) == 1 else "none of the recordings can be used: " + "; ".join(words[:4]))
    if any(BY_NAME in s.how for s in sounds):
        words.append(f"key names are read with middle C (60) = C{4 - shift // 12}, {said}")
    sounds, more = _distinct(_by_level(sounds))
    if more:
        words.append(f"{more} recordings of a key and velocity that others have are left out")
    _equally_loud(sounds)
    return sounds, words


def listen(take: Take) -> Heard:
    """The take's shape and pitch. Raises AudioError for silence and clicks, or when it cannot be read."""
    audio, loop = take.load()
    shape = envelope.shape(audio)
    if shape is None:
        raise AudioError(f"{take.label} is silent; record it again, louder")
    if shape.end - shape.start < SHORTEST:
        raise AudioError(f"{take.label} holds {1000 * (shape.end - shape.start):.0f} ms of sound; use a note of at least 30 ms")
    begin, end = round(shape.start * RATE), round((shape.end if take.hold is None else take.hold) * RATE)
    return Heard(shape, detect(audio[begin : max(end, begin + 4800)]), loop)


def _convention(heard: Sequence[tuple[Take, Heard]]) -> int:
    """Semitones to add to keys read from names: what most that can be heard clearly ask for, an octave up or down at most."""
    asked = Counter(
        12 * round((h.found.pitch - t.pitch) / 12)
        for t, h in heard
        if t.by == "name" and not t.absolute and t.pitch is not None and h.found and h.found.strength > SURE
        and _octaves_apart(h.found.pitch - t.pitch)
    )  # fmt: skip
    shift, votes = asked.most_common(1)[0] if asked else (0, 0)
    return shift if abs(shift) == 12 and votes > 0.6 * asked.total() else 0


def _octaves_apart(semitones: float) -> bool:
    return abs(semitones - 12 * round(semitones / 12)) < NEAR


def _note(take: Take, heard: Heard, shift: int, told: int | None) -> Sound:
    pitch, key, how = _pitch(take, heard.found, shift, told)
    audio, _ = take.load()
    if how.endswith(UNCLEAR) and np.isfinite(off := cents_off(audio[round(heard.shape.start * RATE) :], RATE, key)):
        pitch, how = key + off / 100, how.removesuffix(UNCLEAR) + "tuned by its partials"
    cents = 100 * (pitch - key)
    scale = 2 ** (cents / 1200)
    if abs(cents) > 0.3:
        audio = resample(audio, RATE, RATE * scale)
    s = heard.shape
    loop = (round(heard.loop[0] * scale), round(heard.loop[1] * scale)) if heard.loop else None
    start, release, end = (round(t * scale * RATE) for t in (s.start, s.release, s.end))
    if take.hold is not None:
        start, release, end = 0, round(take.hold * scale * RATE), len(audio)
    elif not s.sustains and s.end - s.release > RELEASE:
        release = end
    held, tail = _cut(audio, start, release, end, s, loop, known=take.hold is not None, fades=take.fade)
    most = round(LONGEST * RATE)
    whole = len(held) / RATE
    held = held if len(held) <= most else fade(held[:most], RATE // 50)
    full = np.concatenate([held, fit(tail, round(RELEASE * RATE))]) * np.float32(10 ** (take.gain / 20))
    if start:
        full[:48] *= np.linspace(0, 1, 48, dtype=np.float32)
    more = [f"{s.floor:.0f} dB of background noise, which becomes part of the sound"] if s.floor > -35 else []
    more += ["the first of several sounds in it"] if s.others and take.hold is None else []
    more += [f"cut to {LONGEST:.0f} of its {whole:.0f} s"] if whole > LONGEST else []
    sustains = (s.sustains and (s.hold >= BRIEF or take.hold is not None)) or loop is not None
    return Sound(
        key, take.velocity or 0, len(held) / RATE, sustains, full.astype(np.float32), cents, take.label,
        ", ".join([how, *more]),
    )  # fmt: skip


def _pitch(take: Take, found: Found | None, shift: int, told: int | None) -> tuple[float, int, str]:
    """The pitch that the take sounds at (MIDI with fraction), its key, and how that is known. Raises AudioError if it is not."""
    clear = found is not None and found.clear
    if told is not None or take.pitch is not None:
        said = float(told) if told is not None else float(take.pitch or 0) + (0 if take.absolute else shift)
        key = int(np.clip(round(said), 0, 127))
        by = "as told" if told is not None else f"by {take.text}"
        if told is None and take.by == "name":
            by = f"{BY_NAME if not take.absolute else 'by the number in its name'}, {take.text}"
        if found is None or not clear:
            return said, key, f"{by}, {UNCLEAR}"
        off = found.pitch - key
        # Programs that know nothing write 60 into a file.
        doubtful = take.by == "chunk" and key == 60
        if abs(off) <= NEAR:
            return found.pitch, key, by
        if _octaves_apart(off) and not (doubtful and told is None):
            octaves = round(off / 12)
            where = f"{abs(octaves)} octave{'s' if abs(octaves) > 1 else ''} {'above' if octaves > 0 else 'below'} it"
            return found.pitch - 12 * octaves, key, f"{by}, though it sounds {where}"
        if told is not None or take.by == "map" or found.strength < SURE or found.mixed:
            return said, key, f"{by}, though it sounds like {key_name(round(found.pitch))}"
        heard = int(np.clip(round(found.pitch), 0, 127))
        return found.pitch, heard, f"as it sounds (strength {found.strength:.2f}), against {by[3:]}"
    cure = "capture it with --key C4, or say so in its name"
    if found is None or not (clear or found.moves):
        raise AudioError(f"no pitch is heard in {take.label}, which may be noise or a drum; {cure}")
    if found.moves:
        low, high = (key_name(round(p)) for p in np.nanpercentile(found.track, (10, 90)))
        raise AudioError(f"{take.label} changes its pitch, between {low} and {high}; cut it to one note, or {cure}")
    if found.mixed:
        raise AudioError(f"several notes seem to sound at once in {take.label}; use one note alone, or, for a bell, {cure}")
    key = int(np.clip(round(found.pitch), 0, 127))
    return found.pitch, key, f"as it sounds (strength {found.strength:.2f})"


def _cut(
    audio: Audio,
    start: int,
    release: int,
    end: int,
    shape: Shape,
    loop: tuple[int, int] | None,
    *,
    known: bool,
    fades: float | None,
) -> tuple[Audio, Audio]:
    """What is held, and what follows the release; `fades`: s, as a map has it, where the recording does not hold it."""
    brief = round((LET_GO if fades is None else min(max(fades, 0.01), RELEASE)) * RATE)
    if known or (loop is None and shape.let_go and release < end):
        tail = audio[release : min(end, release + round(RELEASE * RATE))]
        return audio[start:release], fade(tail, min(len(tail), RATE // 20))
    if loop is not None and start < loop[1]:
        first, last = loop
        more = max(0, round(STILL * RATE) - (last + 1 - start)) + brief
        turns = np.tile(audio[first : last + 1], -(-more // (last + 1 - first)))
        held = np.concatenate([audio[start : last + 1], turns])
        whole = max(last + 1 - start, round(STILL * RATE))
        return held[:whole], fade(held[whole : whole + brief], brief)
    if shape.sustains:
        brief = min(brief, (end - start) // 4)
        return audio[start : end - brief], fade(audio[end - brief : end], brief)
    return fade(audio[start:end], min((end - start) // 8, RATE // (20 if shape.cut else 100))), np.zeros(0, np.float32)


def _by_level(sounds: Sequence[Sound]) -> list[Sound]:
    """Velocities for those that have none (0): 100 for one alone on its key, else by level, the loudest 127."""
    out: list[Sound] = []
    by_key: dict[int, list[tuple[Sound, float]]] = {}
    for s in sounds:
        if s.velocity:
            out.append(s)
        else:
            by_key.setdefault(s.pitch, []).append((s, loudest(s.audio)))
    for group in by_key.values():
        top = max(level for _, level in group)
        for s, level in group:
            v = 100 if len(group) == 1 else int(np.clip(round(127 * 10 ** ((level - top) / 40)), 1, 127))
            out.append(replace(s, velocity=v))
    return out


def _distinct(sounds: Sequence[Sound]) -> tuple[list[Sound], int]:
    """One of each key and velocity, the one that needed the least tuning, in order; and how many are left out."""
    best: dict[tuple[int, int], Sound] = {}
    for s in sounds:
        other = best.get((s.pitch, s.velocity))
        if other is None or abs(s.cents) < abs(other.cents) - 5:
            best[s.pitch, s.velocity] = s
    return [best[k] for k in sorted(best)], len(sounds) - len(best)


def _equally_loud(sounds: Sequence[Sound]) -> None:
    """One gain for all, by which the instrument is as loud as others, in place, since together they may be 1 GB; see NOMINAL."""
    off = float(np.median([loudest(s.audio) - by_velocity(s.velocity) for s in sounds]))
    for s in sounds:
        np.multiply(s.audio, np.float32(10 ** ((NOMINAL - off) / 20)), out=s.audio)


def summary(sounds: Sequence[Sound]) -> Iterator[str]:
    """A line for each note: what it is and how that is known."""
    for s in sounds:
        tuned = f", {abs(s.cents):.0f} cents too {'high' if s.cents > 0 else 'low'}" if abs(s.cents) >= 1 else ""
        held = "held" if s.sustains else "dies away in"
        yield f"{s.label}: {key_name(s.pitch)} ({s.pitch}) {s.how}{tuned}; velocity {s.velocity}; {held} {s.hold:.2f} s"
