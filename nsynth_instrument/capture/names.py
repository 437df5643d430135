"""What the name of a sound file says of its note: `Flute_060_C4_v064.wav`, `A#3`, `Cello-Gb2`, `guitar_010-064-100`.

A key's name means the MIDI key with middle C = C4 = 60, as in science and in this program; some makers write C3, a few
C5, for the same key. Which one is found by listening, or told with --middle-c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SEMITONES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_SIGNS = {"#": 1, "♯": 1, "s": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1, "": 0}
_DYNAMICS = {"ppp": 16, "pp": 33, "p": 49, "mp": 64, "mf": 80, "f": 96, "ff": 112, "fff": 126}
"""Velocities of the dynamic marks, as notation programs play them."""

LAYERS = 16
"""Most layers that are counted."""

_KEY = re.compile(r"(?<![A-Za-z])([A-Ga-g])(sharp|flat|[#♯b♭s])?(-1|\d)(?![\d.])", re.IGNORECASE)
_NSYNTH = re.compile(r".*-(\d{3})-(\d{3})")
_NUMBER = re.compile(r"(?:(?<![A-Za-z0-9])|(?<![A-Za-z])(?:midi|note|key|n|k)[_ -]?)(\d{3})(?!\d)", re.IGNORECASE)
_TOLD = re.compile(r"(?<![A-Za-z])(?:midi|note|key)[_ -]?(\d{1,3})(?!\d)", re.IGNORECASE)
_VELOCITY = re.compile(r"(?<![A-Za-z])(?:velocity|vel|v)[_ -]?(\d{1,3})(?!\d)", re.IGNORECASE)
_LAYER = re.compile(r"(?<![A-Za-z])v[1-9]\d?(?!\d)", re.IGNORECASE)
_DYNAMIC = re.compile(r"(?<![A-Za-z0-9])(ppp|pp|p|mp|mf|fff|ff|f)(?![A-Za-z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Said:
    """What a name says. key: MIDI, or None; by: the text that says it; absolute: whether that is a MIDI number, which has
    but one meaning; velocity: 1..127, or None; counted: whether that is a small number as in v10, which may count layers.
    """

    key: int | None
    by: str
    absolute: bool
    velocity: int | None
    counted: bool = False


def parse(stem: str) -> Said:
    """What the name of a file, without folder and ending, says."""
    nsynth = _NSYNTH.fullmatch(stem)
    if nsynth and int(nsynth[1]) < 128 and 1 <= int(nsynth[2]) < 128:
        return Said(int(nsynth[1]), nsynth[1], True, int(nsynth[2]))
    velocity = _velocity(stem)
    counted = velocity is not None and velocity <= LAYERS and bool(_LAYER.search(stem))
    # What is a velocity is no key: v064.
    rest = _VELOCITY.sub(" ", stem)
    numbers = [m for pattern in (_TOLD, _NUMBER) for m in pattern.finditer(rest) if int(m[1]) < 128]
    names = [(m, key) for m in _KEY.finditer(rest) if (key := _key(m)) is not None]
    for m in numbers:
        # A bare number may count takes: it is a key where a key's name beside it says the same, or a word does.
        if any((key - int(m[1])) % 12 == 0 for _, key in names) or not m[0][0].isdigit():
            return Said(int(m[1]), m[0].strip(), True, velocity, counted)
    if names:
        m, key = names[-1]
        return Said(key, m[0], False, velocity, counted)
    return Said(None, "", False, velocity, counted)


def key(text: str) -> int | None:
    """The MIDI key of a whole text such as C4, g#3 or 60; None if it is none."""
    if text.isascii() and text.isdigit() and len(text) <= 3:
        return int(text) if int(text) < 128 else None
    m = _KEY.fullmatch(text)
    return _key(m) if m else None


def _key(m: re.Match[str]) -> int | None:
    found = _SEMITONES[m[1].lower()] + _SIGNS[(m[2] or "").lower()] + 12 * (int(m[3]) + 1)
    return found if 0 <= found < 128 else None


def _velocity(stem: str) -> int | None:
    told = [int(m[1]) for m in _VELOCITY.finditer(stem) if 1 <= int(m[1]) < 128]
    if told:
        return told[-1]
    marks = _DYNAMIC.findall(stem)
    return _DYNAMICS[marks[-1].lower()] if marks else None
