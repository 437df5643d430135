"""The list of presets in a SoundFont 2 (or Ogg-packed SF3) file, read with every length checked.

SoundFont Technical Specification 2.04, section 4 (RIFF structure) and 7.2 (PHDR).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import DataError

_PHDR = struct.Struct("<20sHHHIII")
_MOST = 65536 * _PHDR.size
"""bytes; presets are counted by 16 bits elsewhere in the format."""


@dataclass(frozen=True, order=True)
class Preset:
    """One sound of a soundfont. bank: 0..128 (128 = drums); program: 0..127; name: as the maker wrote it."""

    bank: int
    program: int
    name: str


def presets(path: Path) -> tuple[Preset, ...]:
    """The presets of a soundfont by (bank, program); of two with the same place the first counts, as in players.

    Raises DataError when the file is missing, not a soundfont, cut off, or its preset list is damaged.
    """
    try:
        with path.open("rb") as f:
            table = _phdr(f, path)
    except OSError as e:
        raise DataError(f"cannot read the soundfont {path} ({e.strerror}); check the path") from e
    if len(table) % _PHDR.size or len(table) < 2 * _PHDR.size:
        raise DataError(f"{path} has a damaged preset list ({len(table)} bytes); get the soundfont again")
    found: dict[tuple[int, int], Preset] = {}
    for at in range(0, len(table) - _PHDR.size, _PHDR.size):  # the last record only marks the end
        raw, program, bank = _PHDR.unpack_from(table, at)[:3]
        if program > 127 or bank > 128:
            continue  # no MIDI message can select it
        text = raw.split(b"\0", 1)[0].decode("latin-1")
        name = "".join(c if c.isprintable() else " " for c in text).strip() or f"Program {program}"
        found.setdefault((bank, program), Preset(bank, program, name))
    return tuple(sorted(found.values()))


def _phdr(f: BinaryIO, path: Path) -> bytes:
    size = os.fstat(f.fileno()).st_size
    riff, _, kind = struct.unpack("<4sI4s", _exactly(f, 12, path))
    if riff != b"RIFF" or kind != b"sfbk":
        raise DataError(f"{path} is not a SoundFont 2 file; convert it to .sf2")
    pdta = _seek(f, size, b"pdta", path, listed=True)
    length = _seek(f, pdta, b"phdr", path, listed=False) - f.tell()
    if length > _MOST:
        raise DataError(f"{path} claims a preset list of {length} bytes; get the soundfont again")
    return _exactly(f, length, path)


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
