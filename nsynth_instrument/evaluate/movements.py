"""How notes move while they are held: as their recordings do, and steady tones not at all?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..audio import Audio, resample
from ..codecs import Codec, known
from ..dataset.example import Example
from ..dsp.partials import RATE as PARTIALS_RATE
from ..dsp.steadiness import Movement, movement
from ..notes import Note
from .bar import Bar, Tell
from .recordings import HELD_OUT_KEYS, SECONDS, draw, hear, held_out
from .tones import steady

BEATING = {"saw lead": (81,), "kalimba": (108,), "accordion": (21,)}
"""General MIDI programs of two detuned oscillators each."""
LIVELY = {"strings": (48, 49), "choir": (52, 53), "flute": (73,), "organ": (19,), "trumpet": (56,), **BEATING}
"""Programs whose notes move, and two, organ and trumpet, that are steady."""
ASKED = {"strings": "frame jitter", "choir": "frame jitter", "flute": "vibrato", **dict.fromkeys(BEATING, "frame jitter")}
"""Which of their figures shall be as the recordings have it."""
LIKE = {"strings": "string", "choir": "vocal", "flute": "flute", "organ": "organ", "trumpet": "brass"}
"""Families that stand for some of them in a set that knows no programs."""


def movements(codec: Codec, data: Sequence[Example], count: int, seed: int, tell: Tell) -> Iterator[Bar]:
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
        heard = [r for r in (hear(e, codec.rate) for e in drawn) if r.pitched]
        if not heard:
            continue
        keys = [r.note for r in heard]
        codes = known(codec, [r.audio for r in heard], keys)
        real = _moves(codec, [r.audio for r in heard], keys)
        ours = _moves(codec, codec.decode(codes, keys), keys)
        for what, unit, field in (("frame jitter", "dB", "jitter"), ("vibrato", "cents", "sway")):
            asked = ASKED.get(name) == what
            if name in BEATING and not asked:
                continue
            a, b = (float(np.mean([getattr(m, field) for m in some])) for some in (real, ours))
            yield Bar(
                f"{what} of {name}", unit, b, len(keys), "1/6 of the original" if asked and name not in BEATING else "",
                "within 1.5 x of it" if asked else "", a / 1.5 <= b <= a * 1.5 if asked else None, (("original", a),),
            )  # fmt: skip


def _is(e: Example, name: str) -> bool:
    if "program" in e.extra:
        return e.extra.get("bank", 0) == 0 and e.extra["program"] in LIVELY[name]
    return e.instrument_family_str == LIKE.get(name)


def _moves(codec: Codec, sounds: Sequence[Audio], keys: Sequence[Note]) -> list[Movement]:
    return [movement(resample(a, codec.rate, PARTIALS_RATE), k.pitch) for a, k in zip(sounds, keys, strict=True)]


def modulation(codec: Codec, tell: Tell) -> Iterator[Bar]:
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
