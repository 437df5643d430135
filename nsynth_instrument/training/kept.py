"""What is kept of a dataset's instruments: one folder each, whose `about.json` comes last and says how it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


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
