"""Sets in the NSynth format: a folder of examples.json and audio/*.wav, a folder of splits, or TFRecords.

Sounds are read when asked for: a set of any size takes the memory of its list alone, about 1 KB a note.
"""

from __future__ import annotations

import functools
import json
import re
import wave
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from .. import audio
from ..errors import DataError
from ..progress import Passed
from . import tfrecord
from .example import SPLITS, Example, from_entry

_SHARD = re.compile(r"(.+\.tfrecord)-(\d{5})-of-(\d{5})")


class Dataset:
    """The notes of a set, in the order of its files; `len`, iteration, `[i]`, and by instrument."""

    def __init__(self, notes: Iterable[Example], *, damaged: Iterable[str] = ()) -> None:
        self._notes = tuple(notes)
        self.damaged = tuple(damaged)
        """What was skipped, one sentence each."""

    @classmethod
    def open(cls, path: Path | str, *, skip_damaged: bool = False, passed: Passed | None = None) -> Dataset:
        """List the notes of a folder with examples.json, of a folder of such folders or of TFRecords, or of a .tfrecord.

        A note whose description is damaged raises DataError, or is skipped and told in `damaged`; a damaged sound
        is found when it is asked for. passed: is told now and then how many bytes of large TFRecords are behind, of how many.
        """
        notes: list[Example] = []
        damaged: list[str] = []
        for item in stream(Path(path), passed):
            if isinstance(item, Example):
                notes.append(item)
            elif skip_damaged:
                damaged.append(item)
            else:
                raise DataError(f"{item}; get it again, or skip damaged notes")
        return cls(notes, damaged=damaged)

    def __len__(self) -> int:
        return len(self._notes)

    def __iter__(self) -> Iterator[Example]:
        return iter(self._notes)

    def __getitem__(self, index: int) -> Example:
        return self._notes[index]

    @functools.cached_property
    def instruments(self) -> dict[str, tuple[int, ...]]:
        """Places of each instrument's notes, by instrument_str."""
        found: dict[str, list[int]] = {}
        for place, note in enumerate(self._notes):
            found.setdefault(note.instrument_str, []).append(place)
        return {name: tuple(places) for name, places in found.items()}

    def split(self, name: str) -> Dataset:
        """The notes of one split. Raises DataError when there are none."""
        notes = [n for n in self._notes if n.split == name]
        if not notes:
            raise DataError(f"the set has no notes in a split {name!r}; it has {sorted({n.split for n in self._notes})}")
        return Dataset(notes)


def read_wav(path: Path, rate: object) -> audio.Audio:
    """Sound (frames,) of a file listed with `rate` Hz. Raises AudioError, or DataError when its rate is another."""
    sound, found = audio.read(path)
    if found != rate:
        raise DataError(f"{path} has a rate of {found} Hz, not {rate} as listed; get it again, or skip damaged notes")
    return sound


def write_wav(path: Path, sound: audio.Audio, *, rate: int) -> None:
    """Write sound (frames,) in +-1 as 16-bit mono PCM, rounded, that appears whole or not at all. `rate` in Hz."""
    samples = np.clip(np.rint(sound * 32767.0), -32768, 32767).astype("<i2")
    with audio.whole(path) as part, part.open("wb") as raw, wave.open(raw, "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(rate)
        f.writeframes(samples.tobytes())


def write_listing(path: Path, notes: Iterable[Example]) -> None:
    """Write an examples.json, whole or not at all."""
    with audio.whole(path) as part, part.open("w", encoding="utf-8") as f:
        json.dump({note.note_str: note.entry() for note in notes}, f, ensure_ascii=False)


def read_listing(path: Path, sounds: Path, *, split: str = "") -> Iterator[Example | str]:
    """The notes of an examples.json whose sounds are sounds/*.wav, or what is wrong with them. Raises DataError."""
    try:
        table = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise DataError(f"{path} cannot be read as JSON ({e}); get it again") from e
    if not isinstance(table, dict):
        raise DataError(f"{path} is not a table of notes; get it again")
    for name, entry in table.items():
        try:
            rate = entry.get("sample_rate", 16000) if isinstance(entry, dict) else None
            file = sounds / f"{name}.wav"
            yield from_entry(name, entry, functools.partial(read_wav, file, rate), split=split, path=str(file))
        except ValueError as e:
            yield f"{path}: note {name[:80]!r}: {e}"


def stream(path: Path, passed: Passed | None = None) -> Iterator[Example | str]:
    """One by one, the notes that `Dataset.open` lists, or what is wrong with them; for who keeps but a few. Raises DataError."""
    if path.is_file():
        listings, records = ([], [path]) if path.suffix != ".json" else ([path], [])
    elif (path / "examples.json").is_file():
        listings, records = [path / "examples.json"], []
    else:
        listings = sorted(path.glob("*/examples.json"), key=lambda p: _order(_split_of(p.parent)))
        records = [] if listings else _records(path)
    if not listings and not records:
        if packed := next(path.glob("*.gz"), None):
            raise DataError(f"{path} holds {packed.name}, which must be unpacked first (gunzip, or tar xzf)")
        raise DataError(f"{path} holds no set of notes: neither examples.json nor a .tfrecord; give its folder")
    for listing in listings:
        yield from read_listing(listing, listing.parent / "audio", split=_split_of(listing.parent.resolve()))
    sizes = [file.stat().st_size for file in records]
    for i, file in enumerate(records):
        told = functools.partial(_passed, passed, sum(sizes[:i]), sum(sizes)) if passed else None
        for item in tfrecord.examples(file, split=_split_of(file), passed=told):
            yield item if isinstance(item, Example) else f"{file}: {item}"


def _passed(passed: Passed, before: int, of: int, done: int) -> None:
    passed(before + done, of)


def _records(folder: Path) -> list[Path]:
    """The TFRecords of a folder, whole or in shards, NAME.tfrecord-00000-of-00004. Raises DataError when a shard is not there."""
    files = sorted(folder.glob("*.tfrecord*"), key=lambda p: (*_order(_split_of(p)), p.name))
    shards: dict[tuple[str, int], set[int]] = {}
    for name, shard, of in (m.groups() for p in files if (m := _SHARD.fullmatch(p.name))):
        shards.setdefault((name, int(of)), set()).add(int(shard))
    for (name, of), there in shards.items():
        missing = sorted(set(range(of)) - there)
        if missing:
            raise DataError(f"{folder / name} lacks shard {missing[0]} of {of}; get it, or name the files one by one")
    return [p for p in files if p.suffix == ".tfrecord" or _SHARD.fullmatch(p.name)]


def _split_of(path: Path) -> str:
    """`train` of train, nsynth-train, nsynth-train.tfrecord and nsynth-train.tfrecord-00000-of-00004."""
    found = _SHARD.fullmatch(path.name)
    return Path(found[1] if found else path.name).stem.rsplit("-", 1)[-1]


def _order(split: str) -> tuple[int, str]:
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)
