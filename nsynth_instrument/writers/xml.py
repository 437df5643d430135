"""XML text from nested elements."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

Value = str | int | float | bool

_FOREIGN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (section 2.2) cannot hold, not even escaped."""


def element(tag: str, /, *children: str, text: str = "", **attributes: Value) -> str:
    """One element, indented; an attribute's `_` becomes `-`, its True `true`, its 1.50 `1.5`."""
    pairs = "".join(f" {k.replace('_', '-')}={quoteattr(_text(v))}" for k, v in attributes.items())
    if children:
        inner = "".join(f"\n{c}" for c in children).replace("\n", "\n  ")
        return f"<{tag}{pairs}>{inner}\n</{tag}>"
    return f"<{tag}{pairs}>{escape(_text(text))}</{tag}>" if text else f"<{tag}{pairs}/>"


def document(root: str) -> str:
    """A whole UTF-8 document around its root element."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{root}\n'


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else _FOREIGN.sub("", str(value))
