"""One captured note, as every part of this folder knows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..audio import Audio

RATE = 48000
"""Hz of a captured note's audio."""
RELEASE = 1.0
"""s after the hold, as in NSynth."""
LONGEST = 29.0
"""s of a hold; what follows of a longer one is left out."""


@dataclass(frozen=True, eq=False)
class Sound:
    """One note, ready for a codec. pitch: MIDI key that it sounds at; velocity: 1..127; hold: s from its first frame to the
    release; sustains: whether it could be held longer; audio: mono at 48 kHz, (hold + 1 s); cents: by which it was
    out of tune; label, how: of what, and how it was read, for people.
    """

    pitch: int
    velocity: int
    hold: float
    sustains: bool
    audio: Audio = field(repr=False)
    cents: float
    label: str
    how: str
