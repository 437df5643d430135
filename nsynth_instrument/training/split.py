"""Which instruments and notes a task learns from, and which are kept from it: the same for every network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt


class Instrument(Protocol):
    """What is kept of an instrument of a dataset. index: its notes, with `pitch`; about: `split` among it."""

    @property
    def index(self) -> npt.NDArray[Any]:
        """Structured, (notes,)."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """What is remembered of it."""
        ...


Kept = TypeVar("Kept", bound=Instrument)


class Split(Generic[Kept]):
    """What tasks have in common.

    instruments: of the training split, four notes or more; train_rows: of each, the notes to learn from; held_out: the
    instruments of the other splits; odds: how often each instrument is heard.
    """

    def __init__(self, instruments: Sequence[Kept], held_pitches: Sequence[int] = ()) -> None:
        """held_pitches: keys of no training note."""
        self.instruments = [i for i in instruments if i.about["split"] == "train" and len(i.index) >= 4]
        self.held_out = [i for i in instruments if i.about["split"] != "train"]
        self.train_rows = [np.flatnonzero(~np.isin(i.index["pitch"], held_pitches)) for i in self.instruments]
        # Square roots of sizes: a piano of 215 notes is heard more than a taiko of 20, but not ten times as often.
        sizes = np.sqrt([len(r) for r in self.train_rows])
        self.odds = sizes / sizes.sum()

    def one(self, rng: np.random.Generator) -> int:
        """An instrument to learn from, by its place."""
        return int(rng.choice(len(self.instruments), p=self.odds))
