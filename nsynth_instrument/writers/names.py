"""File names in a pack: the MIDI number first, since middle C has three names, and only letters every system takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ..notes import Note, key_name

SAMPLES = "Samples"
"""The folder of the sound files, inside the pack's."""


def safe(text: str) -> str:
    """`text` in the letters `A-Za-z0-9_-#` alone, never empty: 'Flûte / Bass' -> 'Flute-Bass'."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_#]+", "-", plain).strip("-_") or "Pack"


def sample_file(name: str, note: Note, *, position: int = 0, positions: int = 1) -> str:
    """Path of a note's WAV relative to the pack: 'Samples/Flute-Bass_060_C4_v064.wav'.

    A pack of several morph positions tells them apart by their place in `SamplePack.positions`, counted from 1:
    'Samples/Flute-Bass_p2_060_C4_v064.wav'.
    """
    place = f"_p{position + 1}" if positions > 1 else ""
    return f"{SAMPLES}/{safe(name)}{place}_{note.pitch:03d}_{key_name(note.pitch)}_v{note.velocity:03d}.wav"


def position_name(position: Sequence[float]) -> str:
    """A morph position for people: (0.25,) -> '25 %', (0, 1) -> '0 / 100 %'."""
    return " / ".join(f"{100 * p:.0f}" for p in position) + " %"
