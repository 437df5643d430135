"""The pack's samples as numbers, for formats that do not take its WAV files as they are."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..audio import Audio
from ..errors import DataError
from ..notes import Note
from ..pack import SamplePack, Zone


def sound(pack: SamplePack, folder: Path, zone: Zone) -> Audio:
    """A zone's audio (frames,) in +-1. Raises DataError when its file is not what the pack says."""
    values = _values(pack, folder, zone)
    return np.asarray(values, np.float32) * np.float32(1.0 if pack.bits == 32 else 2.0 ** (1 - pack.bits))


def integers(pack: SamplePack, folder: Path, zone: Zone, bits: int) -> npt.NDArray[np.int32]:
    """A zone's frames (frames,) as whole numbers of `bits`; TPDF dither, the note's own, only where bits are lost.

    Raises DataError when its file is not what the pack says.
    """
    values = _values(pack, folder, zone)
    if pack.bits == bits:
        return np.asarray(values, np.int32)
    scaled = values * (2.0 ** (bits - 1) if pack.bits == 32 else 2.0 ** (bits - pack.bits))
    if pack.bits > bits:
        scaled += np.diff(Note(zone.root, zone.velocity).rng(bits).random(len(scaled) + 1, dtype=np.float32))
    top = 2.0 ** (bits - 1) - 1
    return np.asarray(np.clip(np.rint(scaled, out=scaled), -top, top, out=scaled).astype(np.int32))


def _values(pack: SamplePack, folder: Path, zone: Zone) -> npt.NDArray[Any]:
    """The frames as they stand in the file: int32 of the pack's bits, or float32."""
    kind, data = _wav(folder / zone.file, zone.frames * pack.bits // 8)
    if kind != (3 if pack.bits == 32 else 1, 1, pack.rate, pack.bits) or len(data) != zone.frames * pack.bits // 8:
        says = f"{zone.frames} frames of {pack.bits} bits at {pack.rate} Hz in one channel"
        raise DataError(f"{zone.file} is not the sound that the pack says ({says}); render the pack again")
    if pack.bits == 32:
        return np.frombuffer(data, "<f4").astype(np.float32)
    if pack.bits == 16:
        return np.frombuffer(data, "<i2").astype(np.int32)
    wide = np.zeros((zone.frames, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.view("<i4")[:, 0] >> 8


def _wav(path: Path, length: int) -> tuple[tuple[int, int, int, int], bytes]:
    """Format tag, channels, rate and bits of a WAV file, and its samples if they are `length` bytes, or else nothing."""
    kind = (0, 0, 0, 0)
    try:
        with path.open("rb") as f:
            if f.read(12)[:4] != b"RIFF":
                return kind, b""
            while len(head := f.read(8)) == 8:
                name, size = head[:4], struct.unpack_from("<I", head, 4)[0]
                if name == b"data":
                    return kind, f.read(length) if size == length else b""
                body = f.read(16) if name == b"fmt " else b""
                if len(body) == 16:
                    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body)
                    kind = (tag, channels, rate, bits)
                f.seek(size + (size & 1) - len(body), 1)
    except OSError as e:
        raise DataError(f"{path} cannot be read ({e.strerror}); render the pack again") from e
    return kind, b""
