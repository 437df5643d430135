"""What is kept of a dataset's instruments: one folder each, whose `about.json` comes last and says how it was made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import NsynthError


def kept(root: Path, **asked: int) -> dict[str, dict[str, Any]]:
    """What is remembered of each instrument below `root`, by name, of which `asked` is true; another must be made anew.

    asked: `version`, and what else decides.
    """
    found = {}
    for path in sorted(root.glob("*/about.json")):
        about = json.loads(path.read_text("utf-8"))
        if all(about.get(k) == v for k, v in asked.items()):
            found[path.parent.name] = about
    return found


def nobody(_: str) -> None:
    """Tell nobody."""


def room(root: Path, sizes: Sequence[int], tell: Callable[[str], object]) -> None:
    """Make the folder in which notes of these sizes, in bytes, shall be kept, and tell what they take there.

    Raises NsynthError where the disk has no room for them.
    """
    size = sum(sizes)
    try:
        root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(root).free
    except OSError as e:
        raise NsynthError(f"cannot write in {root} ({e.strerror}); choose another folder with --cache") from e
    if sizes:
        tell(f"preparing {len(sizes)} notes for training, once: up to {size / 1e9:.2f} GB in {root}")
    if size > free:
        raise NsynthError(
            f"the set's notes, prepared for training, take {size / 1e9:.1f} GB in {root}, where {free / 1e9:.1f} GB are free; "
            "make room, name a folder on another disk with --cache, or train on a part of the set"
        )
