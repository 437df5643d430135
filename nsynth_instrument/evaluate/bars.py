"""The voice's bars: what it must reach, and the figures that say how far it is.

All on notes that it was not trained on: whole instruments (the valid and test splits), or keys left out of training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..codecs import Codec
from ..dataset.example import Example
from .away import away
from .bar import Bar, Tell
from .keyboard import keyboard
from .movements import modulation, movements
from .own import distances, singing


def bars(codec: Codec, data: Sequence[Example], *, notes: int, seed: int, tell: Tell) -> Iterator[Bar]:
    """Every figure in turn. notes: drawn for each."""
    yield from distances(codec, data, notes, seed, tell)
    yield from singing(codec, data, notes, seed, tell)
    yield from away(codec, data, notes, seed, tell)
    yield from keyboard(codec, data, max(1, notes // 12), seed, tell)
    yield from movements(codec, data, max(2, notes // 10), seed, tell)
    yield from modulation(codec, tell)
