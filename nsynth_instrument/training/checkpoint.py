"""TensorFlow's V2 checkpoints read without TensorFlow.

`PREFIX.index` is a sorted table in LevelDB's form (tensorflow/core/lib/io/format.cc): blocks of entries whose keys share
prefixes, each block with a type and a masked CRC, found by an index block, found by a footer. Its values are protobufs
(tensorflow/core/protobuf/tensor_bundle.proto) that say where in `PREFIX.data-SHARD-of-SHARDS` a tensor's little-endian bytes
lie. Everything is checked, since a download is cut off more often than not.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dataset.crc import masked
from ..dataset.proto import fields, varint
from ..errors import DataError

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
TRAILER = struct.Struct("<BI")
"""Behind a block: its compression and its check."""
LARGEST = 1 << 26
"""bytes; a longer index is none (that of 374 tensors with all their slots has 70 kB)."""

DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "|u1", 6: "|i1", 9: "<i8", 10: "|b1", 19: "<f2"}
"""NumPy's names of tensorflow/core/framework/types.proto."""

_PACKED = (".tar", ".tgz", ".gz", ".zip")
_DATA = re.compile(r"(.+)\.data-\d{5}-of-\d{5}")


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies. dtype: NumPy's name, or TensorFlow's number where there is none; check: masked CRC of its bytes."""

    dtype: str | int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    check: int
    sliced: bool = False


class Checkpoint:
    """The tensors of a checkpoint by name; each is read when asked for."""

    def __init__(self, path: Path | str) -> None:
        """path: the prefix, or the name of its `.index` or of a `.data` file. Raises DataError when it is no such checkpoint."""
        self.prefix = prefix(Path(path))
        index = Path(f"{self.prefix}.index")
        try:
            size = index.stat().st_size
            raw = index.read_bytes() if size <= LARGEST else b""
        except OSError as e:
            if self.prefix.suffix in _PACKED and self.prefix.is_file():
                raise DataError(f"{self.prefix} must be unpacked first; then name the checkpoint's prefix in it") from e
            if self.prefix.is_file():
                raise DataError(f"{self.prefix} is no V2 checkpoint: it has no .index beside it; get both files") from e
            raise DataError(f"cannot read {index} ({e.strerror}); name the checkpoint's prefix, as in model.ckpt-200000") from e
        try:
            table = dict(_table(memoryview(raw)))
            self.shards = _shards(memoryview(table.pop(b"")))
            self.entries = {k.decode("utf-8"): _entry(memoryview(v)) for k, v in table.items()}
        except (ValueError, KeyError, struct.error, IndexError) as e:
            why = "it has no header" if isinstance(e, KeyError) else str(e)
            raise DataError(f"{index} is not a checkpoint's index, or is damaged ({why}); get it again") from e

    def tensor(self, name: str) -> npt.NDArray[Any]:
        """The tensor `name`. Raises DataError when it is not there, cut off or damaged."""
        entry = self.entries.get(name)
        if entry is None:
            raise DataError(f"{self.prefix} has no tensor {name}; it is another network's")
        path = Path(f"{self.prefix}.data-{entry.shard:05d}-of-{self.shards:05d}")
        if isinstance(entry.dtype, int) or entry.sliced or entry.size != math.prod(entry.shape) * np.dtype(entry.dtype).itemsize:
            kind = "in slices" if entry.sliced else f"of type {entry.dtype} and {entry.size} bytes for {entry.shape}"
            raise DataError(f"{self.prefix}: {name} is kept {kind}, which the published checkpoints are not; get it again")
        try:
            with path.open("rb") as f:
                if entry.offset + entry.size > path.stat().st_size:
                    raise DataError(f"{path} is cut off: {name} should end at byte {entry.offset + entry.size}; get it again")
                f.seek(entry.offset)
                data = f.read(entry.size)
        except OSError as e:
            raise DataError(f"cannot read {path} ({e.strerror}); get it again") from e
        if masked(data) != entry.check:
            raise DataError(f"{path} is damaged: {name} does not match its checksum; get it again")
        return np.frombuffer(data, entry.dtype).reshape(entry.shape)


def prefix(path: Path) -> Path:
    """The prefix of a checkpoint by any of the names that it goes by."""
    found = _DATA.fullmatch(path.name)
    if found:
        return path.with_name(found[1])
    return path.with_name(path.name.removesuffix(".index"))


def _table(raw: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """All entries of the table. Raises ValueError saying what is wrong."""
    if len(raw) < FOOTER:
        raise ValueError("it is cut off" if len(raw) else "it is empty or too large")
    footer = raw[-FOOTER:]
    if struct.unpack("<Q", footer[-8:])[0] != MAGIC:
        raise ValueError("it does not end as a table does")
    at = 0
    for _ in range(2):  # the metaindex, which is empty
        _, at = varint(footer, at)
    for _, handle in _block(raw, footer[at:]):
        yield from _block(raw, memoryview(handle))


def _block(raw: memoryview, handle: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """The entries of the block that `handle` (offset, size) points at."""
    offset, at = varint(handle, 0)
    size, _ = varint(handle, at)
    if size < 4 or offset + size + TRAILER.size > len(raw):
        raise ValueError("a block lies outside it")
    kind, check = TRAILER.unpack_from(raw, offset + size)
    if masked(raw[offset : offset + size + 1]) != check:
        raise ValueError(f"the block at byte {offset} does not match its checksum")
    if kind:
        raise ValueError("its blocks are compressed, which a checkpoint's never are")
    block = raw[offset : offset + size]
    end = size - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or at + own + length > end:
            raise ValueError(f"an entry of the block at byte {offset} leaves it")
        key = key[:shared] + bytes(block[at : at + own])
        yield key, bytes(block[at + own : at + own + length])
        at += own + length


def _shards(header: memoryview) -> int:
    values = {n: v for n, v in fields(header) if isinstance(v, int)}
    if values.get(2, 0):
        raise ValueError("it is of a big-endian machine")
    if not 1 <= values.get(1, 0) <= 99999:
        raise ValueError("it has no data files")
    return values[1]


def _entry(raw: memoryview) -> Entry:
    values: dict[int, int] = {}
    shape: list[int] = []
    sliced = False
    for number, value in fields(raw):
        if isinstance(value, int):
            values[number] = value
        elif number == 2:
            dims = [d for n, d in fields(value) if n == 2 and isinstance(d, memoryview)]
            shape = [next((s for n, s in fields(d) if n == 1 and isinstance(s, int)), 0) for d in dims]
        elif number == 6:
            values[6] = int.from_bytes(value, "little")
        elif number == 7:
            sliced = True
    number = values.get(1, 0)
    return Entry(
        DTYPES.get(number, number), tuple(shape), values.get(3, 0), values.get(4, 0), values.get(5, 0), values.get(6, 0), sliced
    )
