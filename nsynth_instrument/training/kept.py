"""What is kept of a dataset's instruments: one folder each, whose `about.json` comes last and says in which version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def kept(root: Path, version: int) -> dict[str, dict[str, Any]]:
    """What is remembered of each instrument below `root` that is kept in `version`, by name; another's must be made anew."""
    found = {}
    for path in sorted(root.glob("*/about.json")):
        about = json.loads(path.read_text("utf-8"))
        if about["version"] == version:
            found[path.parent.name] = about
    return found
