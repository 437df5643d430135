"""SF3: MuseScore's SoundFont 3, an SF2 whose samples are Ogg Vorbis files (FluidSynth wiki, SoundFont3Format).

In `smpl` lie whole Ogg files; a header's start and end count bytes there, while its loop counts frames from the
sample's own beginning, and its type has the bit 0x10. The version is 3.0 and there is no `sm24`.
"""

from __future__ import annotations

import struct
from pathlib import Path

from ..audio import encode, whole
from ..errors import UsageError
from ..pack import SamplePack, Zone
from . import Steps, finish
from .names import safe
from .parallel import ordered
from .samples import sound
from .sf2 import Place, hydra, info

VORBIS = 0x10


def steps(pack: SamplePack, folder: Path) -> Steps:
    """Write `NAME.sf3`, compressing on all cores."""
    path = folder / f"{safe(pack.name)}.sf3"

    def one(zone: Zone) -> bytes:
        return encode(sound(pack, folder, zone), pack.rate, kind="OGG")

    with whole(path) as part, part.open("wb") as f:
        head = b"sfbk" + info(pack, (3, 0))
        f.write(b"RIFF\0\0\0\0" + head + b"LIST\0\0\0\0sdtasmpl\0\0\0\0")
        first, places = f.tell(), []
        for done, data in enumerate(ordered(one, pack.zones), 1):
            at = f.tell() - first
            f.write(data)
            places.append(Place(at, at + len(data), 0))
            yield done, len(pack.zones)
        samples = f.tell() - first
        f.write(b"\0" * (samples & 1) + hydra(pack, places, kind=1 | VORBIS))
        end = f.tell()
        if end >= 2**32:
            raise UsageError(f"{path.name} would be {end / 2**30:.1f} GiB, and SF3 ends at 4; render fewer notes or choose flac")
        for offset, value in ((4, end - 8), (first - 16, samples + (samples & 1) + 12), (first - 4, samples)):
            f.seek(offset)
            f.write(struct.pack("<I", value))
    return path


def write(pack: SamplePack, folder: Path) -> Path:
    """Write `NAME.sf3`."""
    return finish(steps(pack, folder))
