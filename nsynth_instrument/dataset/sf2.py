"""What a SoundFont 2 (or Ogg-packed SF3) file holds, read with every length and index checked: its presets and their zones.

SoundFont Technical Specification 2.04, sections 4 (RIFF structure), 7 (the lists of pdta) and 8.1 (generators).
"""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import DataError
from ..notes import Note

_RECORDS = {
    name: struct.Struct(layout)
    for name, layout in (
        *((b"phdr", "<20sHHHIII"), (b"pbag", "<HH"), (b"pgen", "<HH")),
        *((b"inst", "<20sH"), (b"ibag", "<HH"), (b"igen", "<HH"), (b"shdr", "<20s5IBbHH")),
    )
}
_MOST = 65536
"""Records of a list, beside the one that ends it, and zones of a preset; the format's own indices have 16 bits."""
_INSTRUMENT, _KEYS, _VELOCITIES, _SAMPLE = 41, 43, 44, 53
"""Generators."""

_Record = tuple[Any, ...]


@dataclass(frozen=True, order=True)
class Preset:
    """One sound of a soundfont. bank: 0..128 (128 = drums); program: 0..127; name: as the maker wrote it."""

    bank: int
    program: int
    name: str


@dataclass(frozen=True)
class Zone:
    """Where a sample sounds in a preset. keys, velocities: of the notes in which it does; sample: its place in the soundfont."""

    keys: range
    velocities: range
    sample: int


def presets(path: Path) -> tuple[Preset, ...]:
    """The presets of a soundfont by (bank, program); of two with the same place the first counts, as in players.

    Raises DataError when the file is missing, not a soundfont, cut off, or its preset list is damaged.
    """
    found: dict[tuple[int, int], Preset] = {}
    (heads,) = _lists(path, b"phdr")
    for raw, program, bank, *_ in heads[:-1]:
        if program > 127 or bank > 128:
            continue  # no MIDI message can select it
        text = raw.split(b"\0", 1)[0].decode("latin-1")
        name = "".join(c if c.isprintable() else " " for c in text).strip() or f"Program {program}"
        found.setdefault((bank, program), Preset(bank, program, name))
    return tuple(sorted(found.values()))


def zones(path: Path, preset: Preset) -> tuple[Zone, ...]:
    """The zones of a preset's instruments, each where the preset's zone and the instrument's own meet.

    Raises DataError as `presets` does, when the file has no such preset, and when a list points where nothing is.
    """
    heads, bags, generators, instruments, inner_bags, inner_generators, samples = _lists(path, *_RECORDS)
    _point([h[3] for h in heads], len(bags) - 1, path, "presets")
    _point([b[0] for b in bags], len(generators), path, "preset zones")
    _point([i[1] for i in instruments], len(inner_bags) - 1, path, "instruments")
    _point([b[0] for b in inner_bags], len(inner_generators), path, "instrument zones")
    at = next((i for i, h in enumerate(heads[:-1]) if (h[2], h[1]) == (preset.bank, preset.program)), None)
    if at is None:
        raise DataError(f"{path} has no preset at bank {preset.bank}, program {preset.program}")
    within: dict[int, list[Zone]] = {}
    found: list[Zone] = []
    for outer in _level(bags[heads[at][3] : heads[at + 1][3] + 1], generators, _INSTRUMENT):
        i = outer.sample
        _point([i], len(instruments) - 2, path, "preset zones")
        if i not in within:
            within[i] = _level(inner_bags[instruments[i][1] : instruments[i + 1][1] + 1], inner_generators, _SAMPLE)
            _point(sorted(z.sample for z in within[i]), len(samples) - 2, path, "instrument zones")
        if len(found) + len(within[i]) > _MOST:
            raise DataError(f"{path} claims more than {_MOST} zones in preset {preset.name!r}; get the soundfont again")
        found += [Zone(_meet(outer.keys, z.keys), _meet(outer.velocities, z.velocities), z.sample) for z in within[i]]
    return tuple(z for z in found if z.keys and z.velocities)


def sounding(some: Sequence[Zone], note: Note) -> list[int]:
    """The samples that sound in a note, by their places in the soundfont, in order."""
    return sorted({z.sample for z in some if note.pitch in z.keys and note.velocity in z.velocities})


def _level(bags: list[_Record], generators: list[_Record], end: int) -> list[Zone]:
    """The zones of one preset or instrument, each with the place that its generator `end` names; the last bag ends them.

    A key range counts at the beginning of a zone alone, a velocity range there or behind the key range (8.1.2). A zone that names
    nothing is the global one or a mistake (7.3, 7.7); its ranges limit no other in FluidSynth, whose notes these are.
    """
    found: list[Zone] = []
    for (begin, _), (stop, _) in itertools.pairwise(bags):
        keys = velocities = range(128)
        before = None
        for what, amount in generators[begin:stop]:
            if what == _KEYS and before is None:
                keys = range(amount & 255, (amount >> 8) + 1)
            elif what == _VELOCITIES and before in (None, _KEYS):
                velocities = range(amount & 255, (amount >> 8) + 1)
            elif what == end:
                found.append(Zone(keys, velocities, amount))
                break
            before = what
    return found


def _meet(a: range, b: range) -> range:
    return range(max(a.start, b.start), min(a.stop, b.stop))


def _lists(path: Path, *names: bytes) -> list[list[_Record]]:
    """The records of lists of pdta, the one that ends each included. Raises DataError."""
    try:
        with path.open("rb") as f:
            size = os.fstat(f.fileno()).st_size
            riff, _, kind = struct.unpack("<4sI4s", _exactly(f, 12, path))
            if riff != b"RIFF" or kind != b"sfbk":
                raise DataError(f"{path} is not a SoundFont 2 file; convert it to .sf2")
            end = _seek(f, size, b"pdta", path, listed=True)
            body, found = f.tell(), list[list[_Record]]()
            for name in names:
                f.seek(body)
                length, record = _seek(f, end, name, path, listed=False) - f.tell(), _RECORDS[name]
                fewest = 2 if name == b"phdr" else 1
                if length % record.size or not fewest * record.size <= length <= (_MOST + 1) * record.size:
                    raise DataError(f"{path} has a damaged {name.decode()} list ({length} bytes); get the soundfont again")
                found.append(list(record.iter_unpack(_exactly(f, length, path))))
            return found
    except OSError as e:
        raise DataError(f"cannot read the soundfont {path} ({e.strerror}); check the path") from e


def _point(places: list[int], last: int, path: Path, kind: str) -> None:
    """Raise DataError unless the places rise, or stay, and are `last` at most."""
    if places != sorted(places) or (places and places[-1] > last):
        raise DataError(f"{path} has damaged {kind}, which point where nothing is; get the soundfont again")


def _seek(f: BinaryIO, end: int, name: bytes, path: Path, *, listed: bool) -> int:
    """Go to the body of a chunk (of a LIST of that type when `listed`) before `end`; where it ends, in bytes."""
    while f.tell() + 8 <= end:
        kind, length = struct.unpack("<4sI", _exactly(f, 8, path))
        body = f.tell()
        if body + length > end:
            raise DataError(f"{path} is cut off inside its {kind!r} chunk; get the soundfont again")
        if listed and kind == b"LIST" and length >= 4:
            kind = _exactly(f, 4, path)
        if kind == name:
            return int(body + length)
        f.seek(body + length + (length & 1))
    raise DataError(f"{path} has no {name.decode()} chunk; it is not a whole soundfont")


def _exactly(f: BinaryIO, count: int, path: Path) -> bytes:
    data = f.read(count)
    if len(data) != count:
        raise DataError(f"{path} is cut off; get the soundfont again")
    return data
