"""What WAV and AIFF files say of the note they hold: root key and loop, in the chunks `smpl` and `INST` with `MARK`.

Microsoft RIFF MCI (1994) for `smpl`; Apple, Audio Interchange File Format 1.3 (1989) for the others. Every length is
checked; a file that lies is read as one that says nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_LARGEST = 1 << 16
"""bytes of a chunk that is looked at."""
_MOST = 1000
"""Chunks that are looked at."""


@dataclass(frozen=True)
class Root:
    """pitch: MIDI with fraction that the recording sounds at; loop: first and last frame, both played, at the file's rate."""

    pitch: float
    loop: tuple[int, int] | None


def root(path: Path) -> Root | None:
    """What the file's chunks say, or None. Key 0 is what programs write that do not know, and counts as nothing."""
    try:
        with path.open("rb") as f:
            head = f.read(12)
            if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
                found = dict(_chunks(f, "<", {b"smpl"}))
                return _smpl(found.get(b"smpl", b""))
            if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
                found = dict(_chunks(f, ">", {b"INST", b"MARK"}))
                return _inst(found.get(b"INST", b""), found.get(b"MARK", b""))
    except (OSError, struct.error):
        return None
    return None


def _chunks(f: BinaryIO, order: str, wanted: set[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for _ in range(_MOST):
        head = f.read(8)
        if len(head) < 8:
            return
        name, length = struct.unpack(f"{order}4sI", head)
        after = f.tell() + length + (length & 1)
        if name in wanted:
            yield name, f.read(min(length, _LARGEST))
        f.seek(after)


def _smpl(data: bytes) -> Root | None:
    if len(data) < 36:
        return None
    key, fraction = struct.unpack_from("<II", data, 12)
    count = struct.unpack_from("<I", data, 28)[0]
    loop = None
    if count and len(data) >= 60:
        start, end = struct.unpack_from("<II", data, 44)
        loop = (start, end) if start < end else None
    return Root(key + fraction / 2**32, loop) if 0 < key < 128 else None


def _inst(data: bytes, marks: bytes) -> Root | None:
    if len(data) < 20:
        return None
    key, cents = struct.unpack_from(">Bb", data)
    play, begin, end = struct.unpack_from(">hhh", data, 8)
    at = _marks(marks)
    loop = (at[begin], at[end] - 1) if play == 1 and begin in at and end in at and at[begin] < at[end] - 1 else None
    return Root(key + cents / 100, loop) if 0 < key < 128 else None


def _marks(data: bytes) -> dict[int, int]:
    """Frames by marker."""
    found: dict[int, int] = {}
    at = 2
    while at + 7 <= len(data) and len(found) < 100:
        number, frame, name = struct.unpack_from(">hIB", data, at)
        found[number] = frame
        at += 7 + name + (1 - name % 2)
    return found
