"""Between instruments: which ones are meant, and the codes of a note that is a little of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .bank import Instrument, InstrumentBank
from .codes import FRAME_RATE
from .errors import UnknownName
from .notes import Note

Floats = npt.NDArray[np.float32]

RELEASE = 1.0
"""s from a note's release to its end, as in NSynth."""


def find_instrument(bank: InstrumentBank, name: str) -> Instrument:
    """The instrument called `name`, in any case, or the only one whose name begins so. Raises UnknownName."""
    wanted = name.strip().lower()
    begin = [n for n in bank.instruments if n.lower().startswith(wanted)]
    exact = [n for n in begin if n.lower() == wanted]
    found = exact or begin
    if not wanted or len(found) != 1:
        raise UnknownName("instrument", name, bank.instruments)
    return bank[found[0]]


def mix(sounds: Sequence[tuple[Instrument, float]], note: Note, frames: int) -> Floats:
    """Codes float32 (frames, 16) of a note between instruments: the weighted mean of their codes."""
    mixed: Floats = np.sum([np.float32(w) * stretch(i.at(note), frames) for i, w in sounds], axis=0, dtype=np.float32)
    return mixed


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
