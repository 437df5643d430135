"""What a General MIDI program is in NSynth's words: one of 11 families and of 3 sources.

The table follows how the sound is made, as NSynth does (Engel et al. 2017, section 3.1): `acoustic` for
instruments that sound by themselves, `electronic` for those that need an amplifier, `synthetic` for synthesisers.
Programs are counted from 0, as in the MIDI message. Bank variations take after the program of bank 0.

| programs | family | source | remark |
|---|---|---|---|
| 0, 1, 3, 6 | keyboard | acoustic | pianos, harpsichord |
| 2, 4, 5, 7 | keyboard | electronic | electric pianos, clavinet |
| 8..15, 47 | mallet | acoustic | celesta .. dulcimer, timpani |
| 16..18 | organ | electronic | drawbar, percussive, rock |
| 19..21, 23 | organ | acoustic | church, reed organ, accordions |
| 22 | reed | acoustic | harmonica |
| 24, 25, 104..107 | guitar | acoustic | guitars; sitar, banjo, shamisen, koto |
| 26..31 | guitar | electronic | |
| 32 | bass | acoustic | |
| 33..37 | bass | electronic | |
| 38, 39 | bass | synthetic | |
| 40..46, 48, 49, 55, 110 | string | acoustic | bowed, pizzicato, harp, orchestra hit, fiddle |
| 50, 51 | string | synthetic | |
| 52, 53 | vocal | acoustic | |
| 54, 91 | vocal | synthetic | synth voice, choir pad |
| 56..61 | brass | acoustic | |
| 62, 63 | brass | synthetic | |
| 64..71, 109, 111 | reed | acoustic | saxes .. clarinet, bagpipe, shanai |
| 72..79 | flute | acoustic | |
| 80..90, 92..103 | synth_lead | synthetic | leads, pads, effects |
| 108, 112..117, 119 | mallet | acoustic | kalimba, bells, drums with a pitch, reverse cymbal |
| 118 | mallet | synthetic | synth drum |
| 120..127 | synth_lead | synthetic | sound effects: only when asked for |
| bank 128 | mallet | acoustic | drum kits: only when asked for |
"""

from __future__ import annotations

DRUMS = 128
"""The bank that SoundFont 2 sets aside for drum kits."""

EFFECTS = range(120, 128)
"""Programs of General MIDI that are noises, not notes."""

_TABLE: tuple[tuple[str, str, str], ...] = (
    ("keyboard", "acoustic", "0 1 3 6"),
    ("keyboard", "electronic", "2 4 5 7"),
    ("mallet", "acoustic", "8-15 47 108 112-117 119"),
    ("mallet", "synthetic", "118"),
    ("organ", "electronic", "16-18"),
    ("organ", "acoustic", "19-21 23"),
    ("reed", "acoustic", "22 64-71 109 111"),
    ("guitar", "acoustic", "24 25 104-107"),
    ("guitar", "electronic", "26-31"),
    ("bass", "acoustic", "32"),
    ("bass", "electronic", "33-37"),
    ("bass", "synthetic", "38 39"),
    ("string", "acoustic", "40-46 48 49 55 110"),
    ("string", "synthetic", "50 51"),
    ("vocal", "acoustic", "52 53"),
    ("vocal", "synthetic", "54 91"),
    ("brass", "acoustic", "56-61"),
    ("brass", "synthetic", "62 63"),
    ("flute", "acoustic", "72-79"),
    ("synth_lead", "synthetic", "80-90 92-103 120-127"),
)


def _programs(text: str) -> list[int]:
    found: list[int] = []
    for item in text.split():
        low, _, high = item.partition("-")
        found += range(int(low), int(high or low) + 1)
    return found


_BY_PROGRAM = {p: (family, source) for family, source, text in _TABLE for p in _programs(text)}


def family_and_source(bank: int, program: int) -> tuple[str, str]:
    """Names of NSynth's family and source for a preset; `program` 0..127 counted from 0."""
    return ("mallet", "acoustic") if bank == DRUMS else _BY_PROGRAM[program]


def is_melodic(bank: int, program: int) -> bool:
    """Whether a preset plays notes: not a drum kit, not a sound effect."""
    return bank != DRUMS and program not in EFFECTS
