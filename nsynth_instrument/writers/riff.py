"""RIFF chunks, the bricks of WAV and SF2."""

from __future__ import annotations

import struct


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk: four letters, length, body, and a pad byte if the length is odd."""
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def zstring(text: str, longest: int = 255) -> bytes:
    """ASCII text that ends with one or two zero bytes, of even length, as SF2's INFO wants it."""
    body = text.encode("ascii", "replace")[:longest] + b"\0"
    return body + b"\0" * (len(body) & 1)
