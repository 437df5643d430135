"""RIFF files taken apart, without the code that wrote them."""

from __future__ import annotations

import struct


def chunks(data: bytes) -> dict[bytes, bytes]:
    """The chunks of a RIFF form, LISTs by their type."""
    found, at = {}, 12
    assert data[:4] == b"RIFF" and struct.unpack_from("<I", data, 4)[0] == len(data) - 8
    while at < len(data):
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        body = data[at + 8 : at + 8 + size]
        found[body[:4] if name == b"LIST" else name] = body[4:] if name == b"LIST" else body
        at += 8 + size + (size & 1)
    assert at == len(data)
    return found


def inner(body: bytes) -> dict[bytes, bytes]:
    """The chunks inside a LIST."""
    return chunks(b"RIFF" + struct.pack("<I", len(body) + 4) + b"LIST" + body)
