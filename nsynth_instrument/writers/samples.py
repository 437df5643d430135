"""The pack's samples as whole numbers, for formats that do not take its WAV files as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..audio import Audio, read
from ..errors import DataError
from ..notes import Note
from ..pack import SamplePack, Zone


def sound(folder: Path, zone: Zone) -> Audio:
    """A zone's audio (frames,). Raises DataError when its file is not as long as the zone says."""
    audio, _ = read(folder / zone.file)
    if len(audio) != zone.frames:
        raise DataError(f"{zone.file} has {len(audio)} frames and the pack says {zone.frames}; render the pack again")
    return audio


def integers(pack: SamplePack, folder: Path, zone: Zone, bits: int) -> npt.NDArray[np.int32]:
    """A zone's frames (frames,) as whole numbers of `bits`; TPDF dither, the note's own, only where bits are lost."""
    audio = sound(folder, zone)
    scaled = audio.astype(np.float64) * 2.0 ** (bits - 1)
    if pack.bits > bits:
        rng = Note(zone.root, zone.velocity).rng(bits)
        scaled += np.diff(rng.random(len(audio) + 1, dtype=np.float32))
    top = 2.0 ** (bits - 1) - 1
    return np.asarray(np.clip(np.rint(scaled, out=scaled), -top, top, out=scaled).astype(np.int32))
