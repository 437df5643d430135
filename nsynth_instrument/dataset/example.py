"""One note of an NSynth set, and the words that the format counts by.

Engel et al. 2017, section 3.1; https://magenta.tensorflow.org/datasets/nsynth
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..audio import Audio

FAMILIES = ("bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "synth_lead", "vocal")
"""Names of instrument_family 0..10."""

SOURCES = ("acoustic", "electronic", "synthetic")
"""Names of instrument_source 0..2."""

QUALITIES = (
    "bright",
    "dark",
    "distortion",
    "fast_decay",
    "long_release",
    "multiphonic",
    "nonlinear_env",
    "percussive",
    "reverb",
    "tempo-synced",
)
"""Names of the places in `qualities`."""

SPLITS = ("train", "valid", "test")
"""Folders of a whole set."""

_STANDARD = (
    *("note", "note_str", "instrument", "instrument_str", "pitch", "velocity", "sample_rate", "qualities", "qualities_str"),
    *("instrument_family", "instrument_family_str", "instrument_source", "instrument_source_str"),
)
_SHARED: dict[tuple[int, ...], tuple[int, ...]] = {}
"""Each answer to all ten qualities, of which there are at most 1,024."""
_NONE: Mapping[str, Any] = {}
_NAME = re.compile(r"[A-Za-z0-9_#+=,.\-]{1,200}")


@dataclass(frozen=True, slots=True)
class Example:
    """A note: the standard fields, and its sound when asked for.

    note, instrument: numbers unique in a set; pitch, velocity: 0..127; sample_rate: Hz; qualities: ten of 0 and 1 in the
    order of QUALITIES; instrument_family, instrument_source: places in FAMILIES and SOURCES; split: the folder that holds
    it, or nothing; path: the sound's own file, or nothing where it lies in a record; extra: other keys of examples.json
    (preset_name, soundfont, bank, program and samples, by their places in the soundfont, of a build).
    """

    note_str: str
    note: int
    instrument_str: str
    instrument: int
    pitch: int
    velocity: int
    sample_rate: int
    qualities: tuple[int, ...]
    instrument_family: int
    instrument_source: int
    load: Callable[[], Audio] = field(repr=False, compare=False)
    split: str = ""
    path: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def instrument_family_str(self) -> str:
        """Name of the family."""
        return FAMILIES[self.instrument_family]

    @property
    def instrument_source_str(self) -> str:
        """Name of the source."""
        return SOURCES[self.instrument_source]

    @property
    def qualities_str(self) -> tuple[str, ...]:
        """Names of the qualities that it has."""
        return tuple(name for name, on in zip(QUALITIES, self.qualities, strict=True) if on)

    def audio(self) -> Audio:
        """The sound (frames,), read now. Raises AudioError or DataError when it is missing or damaged."""
        return self.load()

    def entry(self) -> dict[str, Any]:
        """What stands under note_str in examples.json."""
        return {**{key: getattr(self, key) for key in _STANDARD}, **self.extra}


def from_entry(name: str, entry: Mapping[str, Any], load: Callable[[], Audio], *, split: str = "", path: str = "") -> Example:
    """An example of what stands under `name` in examples.json, every field checked. Raises ValueError saying what is wrong."""
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise ValueError("its name cannot be that of a file")
    if not isinstance(entry, Mapping):
        raise ValueError("it is not a table of fields")
    qualities = entry.get("qualities", [0] * len(QUALITIES))
    if not isinstance(qualities, list | tuple) or len(qualities) != len(QUALITIES) or any(q not in (0, 1) for q in qualities):
        raise ValueError("its qualities are not ten of 0 and 1")
    instrument = entry.get("instrument_str", name.rsplit("-", 2)[0])
    if not isinstance(instrument, str) or not _NAME.fullmatch(instrument):
        raise ValueError("its instrument_str is not a name")
    # What many notes of a large set share is kept once.
    shared = tuple(int(q) for q in qualities)
    extra = {key: value for key, value in entry.items() if key not in _STANDARD}
    return Example(
        note_str=name,
        note=_whole(entry, "note", 2**63 - 1, 0),
        instrument_str=sys.intern(instrument),
        instrument=_whole(entry, "instrument", 2**63 - 1, 0),
        pitch=_whole(entry, "pitch", 127),
        velocity=_whole(entry, "velocity", 127),
        sample_rate=_whole(entry, "sample_rate", 384000, 16000, low=1),
        qualities=_SHARED.setdefault(shared, shared),
        instrument_family=_whole(entry, "instrument_family", len(FAMILIES) - 1),
        instrument_source=_whole(entry, "instrument_source", len(SOURCES) - 1),
        load=load,
        split=split,
        path=path,
        extra=extra or _NONE,
    )


def _whole(entry: Mapping[str, Any], key: str, high: int, default: int | None = None, *, low: int = 0) -> int:
    value = entry.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"its {key} is not a whole number in {low}..{high}")
    return value
