"""Between instruments: the codes of a note that is a little of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .bank import Instrument
from .codecs import Kept
from .codes import FRAME_RATE
from .notes import Note

Floats = npt.NDArray[np.float32]

REACH = 9
"""Semitones from a known note at which its details no longer help."""
RELEASE = 1.0
"""s from a note's release to its end, as in NSynth."""


def mix(sounds: Sequence[tuple[Instrument, float]], note: Note, frames: int) -> Floats:
    """Codes float32 (frames, 16) of a note between instruments: the weighted mean of their codes."""
    mixed: Floats = np.sum([np.float32(w) * stretch(i.at(note), frames) for i, w in sounds], axis=0, dtype=np.float32)
    return mixed


def details(sounds: Sequence[tuple[Instrument, float]], note: Note) -> list[Kept]:
    """What is added of the instruments' own details: all of it at a known note, fading with distance in pitch.

    Measured: at a known key it brings a note to the bound of the analysis; a quarter of an octave away half of it
    helps; from nine semitones on none does.
    """
    out: list[Kept] = []
    for instrument, weight in sounds:
        if instrument.detail is not None:
            for i, share in instrument.around(note):
                near = max(0.0, 1 - abs(note.pitch - int(instrument.pitches[i])) / REACH)
                if weight * share * near > 0:
                    out.append((instrument.detail, i, weight * share * near))
    return out


def stretch(codes: Floats, frames: int) -> Floats:
    """Codes (n, 16) as a note of another length: onset and release stay, what is held between them is cut or stretched.

    A shorter note leaves the end of the held part out, and glides into the release from where it is; a longer one goes
    through its held part, from 1 s on, more slowly.
    """
    if len(codes) == frames:
        return codes
    tail = round(RELEASE * FRAME_RATE)
    held, wanted = len(codes) - tail, frames - tail
    if held < 2 or wanted < 1:  # no note of NSynth's shape: the whole of it, faster or slower
        whole: Floats = codes[np.rint(np.linspace(0, len(codes) - 1, frames)).astype(int)]
        return whole
    onset = min(round(FRAME_RATE), held - 1, wanted)
    if wanted <= held:
        blend = np.linspace(1, 0, tail, dtype=np.float32)[:, None]
        return np.concatenate([codes[:wanted], codes[held:] + blend * (codes[wanted - 1] - codes[held - 1])])
    at = np.linspace(onset, held - 1, wanted - onset)
    low = np.minimum(at.astype(int), held - 2)
    part = (at - low)[:, None].astype(np.float32)
    slow = codes[low] * (1 - part) + codes[low + 1] * part
    return np.concatenate([codes[:onset], slow, codes[held:]])
