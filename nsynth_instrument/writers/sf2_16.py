"""SoundFont 2 in 16 bits, for players that know no 24; dithered."""

from __future__ import annotations

from pathlib import Path

from ..pack import SamplePack
from .names import safe
from .sf2 import write_bits


def write(pack: SamplePack, folder: Path) -> Path:
    """Write `NAME-16bit.sf2`."""
    return write_bits(pack, folder, folder / f"{safe(pack.name)}-16bit.sf2", wide=False)
