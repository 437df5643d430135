"""NSynth's TFRecords without TensorFlow.

A record is length (uint64), its masked CRC, the data (a tf.train.Example, see proto.py) and its masked CRC, little
endian (tensorflow/core/lib/io/record_writer.h). Files are mapped, not read: a listing touches only the pages that
hold the small fields, and lets go of them as it moves on.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import LONGEST, Audio, whole
from ..errors import DataError
from . import crc, proto
from .example import Example, from_entry

LARGEST = 1 << 27
"""bytes; a longer record is no note (4 s at 16 kHz take 256 KB)."""

_HEAD = struct.Struct("<QI")
_STRETCH = 1 << 26
"""bytes after which a listing lets go of what it has passed."""
_GZIP = b"\x1f\x8b"


class RecordError(ValueError):
    """A record that cannot be read. offset: its first byte in the file."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(f"record at byte {offset}: {what}")
        self.offset = offset


def examples(path: Path, *, split: str = "", passed: Callable[[int], object] | None = None) -> Iterator[Example | RecordError]:
    """The notes of a file in order, and what cannot be read, as found; sounds stay on disk until asked for.

    The data of a record is checked when its sound is read. passed: is told now and then how many bytes are behind. Raises
    DataError when the file cannot be opened, or is packed.
    """
    with _mapped(path) as (mapped, view):
        if view[:2] == _GZIP:
            raise DataError(f"{path} is packed by gzip, which has no random access; unpack it first (gunzip, or tar xzf)")
        at = behind = 0
        while at < len(view):
            if at - behind >= _STRETCH:
                behind = _let_go(mapped, behind, at)
                if passed:
                    passed(at)
            try:
                start, end = _bounds(view, at)
            except RecordError as e:
                yield e
                return
            try:
                item: Example | RecordError = _example(view[start:end], functools.partial(sound, path, at), split)
            except ValueError as e:
                item = RecordError(at, str(e))
            yield item
            at = end + 4


def sound(path: Path, offset: int) -> Audio:
    """Audio (frames,) of the record that begins at a byte of a file. Raises DataError when it is damaged."""
    with _mapped(path) as (_, view):
        try:
            start, end = _bounds(view, offset)
            _check(view, offset, start, end)
            audio = proto.features(view[start:end]).get("audio")
        except ValueError as e:
            raise DataError(f"{path}: {e}; get the file again, or skip damaged notes") from e
        if not isinstance(audio, np.ndarray) or not len(audio) or not np.isfinite(audio).all():
            raise DataError(f"{path}: record at byte {offset}: no sound in it; get the file again, or skip damaged notes")
        return audio.astype(np.float32)  # a copy, so that the map can be closed


def write(path: Path, notes: Iterable[Example]) -> int:
    """Write notes, one in memory at a time, as a file that appears whole or not at all; how many there were."""
    count = 0
    with whole(path) as part, part.open("wb") as f:
        for example in notes:
            data = _encoded(example)
            length = struct.pack("<Q", len(data))
            f.write(length + struct.pack("<I", crc.masked(length)))
            f.write(data + struct.pack("<I", crc.masked(data)))
            count += 1
    return count


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[tuple[mmap.mmap, memoryview]]:
    """A file as bytes that are read when looked at; it is closed when the last slice is gone."""
    try:
        with path.open("rb") as f:
            mapped = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as e:  # ValueError: an empty file
        raise DataError(f"cannot read {path} ({getattr(e, 'strerror', None) or e}); get the file again") from e
    yield mapped, memoryview(mapped)


def _let_go(mapped: mmap.mmap, start: int, stop: int) -> int:
    """Take what was looked at out of this process' memory, where the system lets it; up to where."""
    start, stop = (n // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY for n in (start, stop))
    if hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED, start, stop - start)
    return stop


def _bounds(view: memoryview, at: int) -> tuple[int, int]:
    """Where the data of the record at `at` begins and ends."""
    start = at + _HEAD.size
    if start > len(view):
        raise RecordError(at, "the file is cut off")
    length, check = _HEAD.unpack_from(view, at)
    if crc.masked(view[at : at + 8]) != check or length > LARGEST:
        raise RecordError(at, "its length is damaged, and what follows is lost")
    if start + length + 4 > len(view):
        raise RecordError(at, "the file is cut off")
    return start, start + length


def _check(view: memoryview, at: int, start: int, end: int) -> None:
    if crc.masked(view[start:end]) != int.from_bytes(view[end : end + 4], "little"):
        raise RecordError(at, "its data does not match its checksum")


def _example(data: memoryview, load: Any, split: str) -> Example:
    entry: dict[str, Any] = {}
    for key, value in proto.features(data).items():
        if isinstance(value, np.ndarray):
            if key == "audio" and not 0 < len(value) <= LONGEST * 48000:
                raise ValueError(f"{len(value)} frames of sound are not a note")
            continue
        items = [v.decode("utf-8") if isinstance(v, bytes) else v for v in value]
        entry[key] = items if key in ("qualities", "qualities_str") else items[0] if items else None
    if not isinstance(entry.get("note_str"), str):
        raise ValueError("it has no note_str")
    return from_entry(entry["note_str"], entry, load, split=split)


def _encoded(example: Example) -> bytes:
    values: dict[str, proto.Value] = {"audio": example.audio()}
    for key, value in example.entry().items():
        if key not in example.extra:
            items = list(value) if isinstance(value, tuple) else [value]
            values[key] = [item.encode() if isinstance(item, str) else int(item) for item in items]
    return proto.encoded(values)
