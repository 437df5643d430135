"""ZIP archives of packs: stored, since sound hardly shrinks and players stream it; equal content gives equal bytes."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from ..audio import whole

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_archive(path: Path, *, texts: Mapping[str, str], files: Mapping[str, Path]) -> Path:
    """Write a ZIP at `path`: `texts` by name, then `files` by name, one of them in memory at a time."""
    with whole(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text)
        for name, source in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.file_size = source.stat().st_size
            with source.open("rb") as f, archive.open(entry, "w") as out:
                shutil.copyfileobj(f, out, 1 << 20)
    return path
