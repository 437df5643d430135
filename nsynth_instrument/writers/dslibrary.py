"""DecentSampler's `.dslibrary`: the preset and its samples in one archive."""

from __future__ import annotations

from pathlib import Path

from ..pack import SamplePack
from .archive import write_archive
from .decentsampler import preset
from .names import safe
from .xml import document, element


def write(pack: SamplePack, folder: Path) -> Path:
    """Write `NAME.dslibrary` into the pack's folder."""
    name = safe(pack.name)
    about = document(element("DecentSamplerLibraryInfo", name=pack.title or pack.name))
    text = preset(pack)
    texts = {f"{name}/{name}.dspreset": text, f"{name}/DSLibraryInfo.xml": about}
    files = {f"{name}/{z.file}": folder / z.file for z in pack.zones}
    return write_archive(folder / f"{name}.dslibrary", texts=texts, files=files)
