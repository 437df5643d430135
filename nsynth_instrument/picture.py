"""Pictures as PNG files: eight bits, red, green and blue, and nothing else."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .audio import whole

Picture = npt.NDArray[np.uint8]


def write_png(path: Path, rgb: Picture) -> None:
    """Write a picture (height, width, 3), whole or not at all (PNG, W3C 2003: IHDR, one IDAT, IEND)."""
    with whole(path) as part:
        part.write_bytes(png(rgb))


def png(rgb: Picture) -> bytes:
    """A picture (height, width, 3) as the contents of a PNG file."""
    height, width, _ = rgb.shape
    # Filter 2 of every line: what differs from the line above; pictures of sounds are smooth that way.
    lines = np.zeros((height, 1 + 3 * width), np.uint8)
    lines[:, 0] = 2
    flat = rgb.reshape(height, 3 * width)
    lines[:, 1:] = flat - np.concatenate([np.zeros_like(flat[:1]), flat[:-1]])
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (_chunk(b"IHDR", head), _chunk(b"IDAT", zlib.compress(lines.tobytes(), 6)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def larger(rgb: Picture, times: int) -> Picture:
    """The picture with every point `times` points wide and high."""
    return rgb.repeat(times, axis=0).repeat(times, axis=1)


def beside(pictures: Sequence[Picture], columns: int, *, gap: int = 6, ground: int = 255) -> Picture:
    """Pictures in rows of `columns`, each in a cell of the largest one's size, `gap` points of grey `ground` between them."""
    height, width = (max(p.shape[axis] for p in pictures) for axis in (0, 1))
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    out = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), ground, np.uint8)
    for i, p in enumerate(pictures):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        out[y : y + p.shape[0], x : x + p.shape[1]] = p
    return out
