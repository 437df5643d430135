"""SFZ over FLAC: the same sound bit for bit in about half of the space (32-bit float becomes 24 bits)."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..audio import encode, whole
from ..pack import SamplePack, Zone
from . import Steps, finish
from .names import SAMPLES, safe
from .parallel import ordered
from .samples import integers
from .sfz import write_over

FOLDER = f"{SAMPLES}-FLAC"


def steps(pack: SamplePack, folder: Path) -> Steps:
    """Write `NAME-FLAC.sfz` and its samples, on all cores."""
    bits = min(24, pack.bits)

    def one(zone: Zone) -> None:
        values = integers(pack, folder, zone, bits) << (32 - bits)
        with whole(folder / _file(zone)) as part:
            part.write_bytes(encode(values, pack.rate, kind="FLAC", bits=bits))

    for done, _ in enumerate(ordered(one, pack.zones), 1):
        yield done, len(pack.zones)
    return write_over(pack, folder, folder / f"{safe(pack.name)}-FLAC.sfz", _file)


def write(pack: SamplePack, folder: Path) -> Path:
    """Write `NAME-FLAC.sfz` and its samples."""
    return finish(steps(pack, folder))


def _file(zone: Zone) -> str:
    return f"{FOLDER}/{PurePosixPath(zone.file).stem}.flac"
