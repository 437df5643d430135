"""CRC-32C (Castagnoli, RFC 3720 appendix B.4) and TFRecord's masking of it.

google-crc32c does it when it is there; else NumPy, which runs over many stretches of the data at once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

_POLYNOMIAL = 0x82F63B78
_LANES = 1024
_Words = npt.NDArray[np.uint32]


def masked(data: bytes | memoryview) -> int:
    """TFRecord's check of some bytes: the CRC turned right by 15 bits, plus a constant (tensorflow/core/lib/hash/crc32c.h)."""
    crc = _implementation()(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@functools.cache
def _implementation() -> Callable[[bytes | memoryview], int]:
    try:
        import google_crc32c
    except ImportError:
        return by_numpy
    return lambda data: int(google_crc32c.value(bytes(data)))


def by_numpy(data: bytes | memoryview) -> int:
    """The CRC without google-crc32c. A CRC is linear, so stretches are done side by side and then joined."""
    table = _table()
    view = np.frombuffer(data, np.uint8)
    length = len(view) // _LANES
    crc = np.uint32(0xFFFFFFFF)
    if length > 64:
        lanes = np.zeros(_LANES, np.uint32)
        lanes[0] = crc
        for column in np.ascontiguousarray(view[: length * _LANES].reshape(_LANES, length).T):
            lanes = table[(lanes ^ column) & 0xFF] ^ (lanes >> np.uint32(8))
        shift = _shift(length)
        crc = lanes[0]
        for lane in lanes[1:]:
            crc = shift[0, crc & 0xFF] ^ shift[1, crc >> 8 & 0xFF] ^ shift[2, crc >> 16 & 0xFF] ^ shift[3, crc >> 24] ^ lane
        view = view[length * _LANES :]
    for byte in view:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> np.uint32(8))
    return int(crc) ^ 0xFFFFFFFF


@functools.cache
def _table() -> _Words:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, values >> 1 ^ np.uint32(_POLYNOMIAL), values >> 1).astype(np.uint32)
    return values


@functools.lru_cache(maxsize=8)
def _shift(length: int) -> _Words:
    """(4, 256): what `length` zero bytes make of each byte of a CRC."""
    values = (np.arange(256, dtype=np.uint32)[None] << (8 * np.arange(4, dtype=np.uint32)[:, None])).astype(np.uint32)
    table = _table()
    for _ in range(length):
        values = table[values & 0xFF] ^ (values >> np.uint32(8))
    return values
