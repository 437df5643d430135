"""SHA256SUMS: every file of a pack with its hash, as `sha256sum -c SHA256SUMS` reads them.

It also tells which files a pack made, so that another one that takes its place leaves no map of sounds that are gone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from ..audio import whole

SUMS = "SHA256SUMS"


def write_sums(folder: Path, *, known: Mapping[str, str]) -> Path:
    """List all files below `folder`, which holds a pack and nothing else; `known` has hashes of some already."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != SUMS)
    names = {p.relative_to(folder).as_posix(): p for p in paths}
    return _write(folder, {name: known.get(name) or digest(path) for name, path in names.items()})


def add_sums(folder: Path, changed: Iterable[Path]) -> Path:
    """List the files `changed`, new or rewritten ones, beside those that are listed."""
    return _write(folder, {**read_sums(folder), **{p.relative_to(folder).as_posix(): digest(p) for p in changed}})


def read_sums(folder: Path) -> dict[str, str]:
    """Hash by path relative to `folder`; lines that say nothing, or lead out of the folder, are left out."""
    try:
        lines = (folder / SUMS).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found = {}
    for line in lines:
        m = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if m and not PurePosixPath(m[2]).is_absolute() and not {"..", ""} & set(m[2].split("/")) and "\\" not in m[2]:
            found[m[2]] = m[1]
    return found


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _write(folder: Path, sums: Mapping[str, str]) -> Path:
    path = folder / SUMS
    with whole(path) as part:
        part.write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)), "utf-8", newline="\n")
    return path
