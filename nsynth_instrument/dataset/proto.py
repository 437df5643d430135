"""As much protobuf as tf.train.Example takes, read with every length checked.

Example { features = 1 { map feature = 1 { key = 1, value = 2 { bytes_list = 1 | float_list = 2 | int64_list = 3, each
{ value = 1 } } } } } (tensorflow/core/example/example.proto and feature.proto); numbers packed or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

Value = list[bytes] | list[int] | list[bytes | int] | np.ndarray[Any, np.dtype[np.float32]]
"""A feature: strings, whole numbers (all items of one kind), or float32."""

_MOST = 4096
"""Items in a list of strings or whole numbers; NSynth has at most ten."""

_T = TypeVar("_T")


def features(data: memoryview) -> dict[str, Value]:
    """The features of an Example; floats are a view of `data`. Raises ValueError when it is none."""
    found: dict[str, Value] = {}
    for features in _nested(data, 1):
        for pair in _nested(features, 1):
            key = b"".join(bytes(k) for k in _nested(pair, 1)).decode("utf-8")
            for value in _nested(pair, 2):
                for kind, body in fields(value):
                    if isinstance(body, memoryview) and kind in _LISTS:
                        found[key] = _LISTS[kind](body)
    return found


def _bytes_list(body: memoryview) -> Value:
    return [bytes(v) for v in _few(_nested(body, 1))]


def _float_list(body: memoryview) -> Value:
    chunks = [np.frombuffer(v, "<f4") for _, v in fields(body) if isinstance(v, memoryview) and len(v) % 4 == 0]
    return chunks[0] if len(chunks) == 1 else np.concatenate([*chunks, np.zeros(0, np.float32)])


def _int64_list(body: memoryview) -> Value:
    return [v - (1 << 64) if v >> 63 else v for v in _few(_integers(body))]


def _integers(body: memoryview) -> Iterator[int]:
    for _, v in fields(body):
        if isinstance(v, int):
            yield v
            continue
        at = 0
        while at < len(v):
            value, at = varint(v, at)
            yield value


def _few(values: Iterable[_T]) -> Iterator[_T]:
    for count, value in enumerate(values):
        if count >= _MOST:
            raise ValueError(f"it has a list of over {_MOST} values")
        yield value


_LISTS = {1: _bytes_list, 2: _float_list, 3: _int64_list}


def encoded(values: Mapping[str, Value]) -> bytes:
    """An Example of some features, in the order of their names."""
    return _sized(1, b"".join(_sized(1, _sized(1, key.encode()) + _sized(2, _feature(values[key]))) for key in sorted(values)))


def _feature(value: Value) -> bytes:
    if isinstance(value, np.ndarray):
        return _sized(2, _sized(1, np.ascontiguousarray(value, "<f4").tobytes()))
    if any(isinstance(item, bytes) for item in value):
        return _sized(1, b"".join(_sized(1, item) for item in value if isinstance(item, bytes)))
    return _sized(3, _sized(1, b"".join(_packed(item) for item in value if isinstance(item, int))))


def _nested(data: memoryview, number: int) -> Iterator[memoryview]:
    return (v for n, v in fields(data) if n == number and isinstance(v, memoryview))


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message: varints as int, all else as the bytes. Raises ValueError."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = varint(data, at)
            yield tag >> 3, value
            continue
        if wire == 2:
            size, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(wire, -1)
        if size < 0 or at + size > len(data):
            raise ValueError("it is not a tf.train.Example")
        yield tag >> 3, data[at : at + size]
        at += size


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends. Raises ValueError when there is none."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it is cut off inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
    raise ValueError("it holds a number of over 64 bits")


def _sized(number: int, body: bytes) -> bytes:
    return _packed(number << 3 | 2) + _packed(len(body)) + body


def _packed(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
