"""JACK's library, through ctypes: a client whose cycles compiled code handles, and whose server may vanish.

A call that waits for JACK's next cycle lets go of the interpreter's lock meanwhile; else a callback that needs the lock, and that
the cycle waits for, would hold up the whole server.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from typing import Any

import numba
import numpy as np

from ..errors import DeviceError
from .engine import Engine
from .memory import called, jit, pointer
from .midi import CLIENT, hushed
from .state import GLOBAL

AUDIO, MIDI = b"32 bit float mono audio", b"8 bit raw midi"
INPUT, OUTPUT, PHYSICAL, TERMINAL = 0x1, 0x2, 0x4, 0x10
_NO_START = 0x01

RECORD = np.dtype(
    [
        ("mixer", "u8"), ("engine", "u8"), ("scratch", "u8"),
        ("left", "u8"), ("right", "u8"), ("midi", "u8"),  # ports
        ("buffer", "u8"), ("count", "u8"), ("get", "u8"),  # functions of libjack
        ("event", "u8"),  # address of `time`: a jack_midi_event_t
        ("gone", "i8"),
        ("sent", "i8"),  # messages laid into the engine's second ring
        ("time", "u4"), ("_", "u4"), ("size", "u8"), ("data", "u8"),
    ],
    align=True,
)  # fmt: skip
"""What the callbacks know of their client."""


@jit
def inbox(c: Any, n: int) -> int:
    """Address of what has come to the client's MIDI port within this cycle of n frames."""
    return int(called(c.buffer, c.midi, n, 0, 0, 0, 0))


@jit
def count(c: Any, box: int) -> int:
    """How many events there are."""
    return int(called(c.count, box, 0, 0, 0, 0, 0) & 0xFFFFFFFF)


@jit
def message(c: Any, box: int, i: int) -> int:
    """Event i as a channel message, its frame in c.time; 0 for one that is longer."""
    called(c.get, c.event, box, i, 0, 0, 0)
    if not 0 < c.size <= 3:
        return 0
    data = numba.carray(pointer(c.data), (3,), np.uint8)
    word = np.int64(data[0])
    for k in range(1, np.int64(c.size)):
        word |= np.int64(data[k]) << (8 * k)
    return int(word)


@functools.cache
def callback(handler: Any) -> Any:
    """What JACK calls each cycle, compiled: `handler`, by `jit`, of the cycle's frames and the address of the client's RECORD."""
    t = numba.types

    def cycle(n: Any, user: Any) -> Any:
        return handler(n, user)

    return numba.cfunc(t.int32(t.uint32, t.voidptr), nopython=True)(cycle)


@functools.cache
def _callbacks() -> tuple[Any, Any]:
    """What JACK calls at an xrun and at its end, compiled."""
    t = numba.types

    def late(user: Any) -> Any:
        c = numba.carray(user, (1,), RECORD)[0]
        numba.carray(pointer(c.engine), (1,), GLOBAL)[0].underruns += 1
        return 0

    def end(user: Any) -> None:
        numba.carray(user, (1,), RECORD)[0].gone = 1

    return (
        numba.cfunc(t.int32(t.voidptr), nopython=True)(late),
        numba.cfunc(t.void(t.voidptr), nopython=True)(end),
    )


@functools.cache
def library() -> Any:
    """libjack, or None where it is not installed."""
    name = ctypes.util.find_library("jack")
    if name is None:
        return None
    try:
        lib = ctypes.CDLL(name)
    except OSError:
        return None
    pointers = ctypes.c_void_p
    for function, result, arguments in (
        ("jack_client_open", pointers, [ctypes.c_char_p, ctypes.c_int, pointers]),
        ("jack_client_close", ctypes.c_int, [pointers]),
        ("jack_get_client_name", ctypes.c_char_p, [pointers]),
        ("jack_get_sample_rate", ctypes.c_uint32, [pointers]),
        ("jack_get_buffer_size", ctypes.c_uint32, [pointers]),
        ("jack_cpu_load", ctypes.c_float, [pointers]),
        ("jack_port_register", pointers, [pointers, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_ulong]),
        ("jack_set_process_callback", ctypes.c_int, [pointers] * 3),
        ("jack_set_xrun_callback", ctypes.c_int, [pointers] * 3),
        ("jack_on_shutdown", None, [pointers] * 3),
        ("jack_activate", ctypes.c_int, [pointers]),
        ("jack_connect", ctypes.c_int, [pointers, ctypes.c_char_p, ctypes.c_char_p]),
        ("jack_get_ports", ctypes.POINTER(ctypes.c_char_p), [pointers, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong]),
        ("jack_free", None, [pointers]),
    ):
        getattr(lib, function).restype = result
        getattr(lib, function).argtypes = arguments
    return lib


def enter() -> Any:
    """A client of a running server, or None."""
    lib = library()
    if lib is None:
        return None
    with hushed():
        return lib.jack_client_open(CLIENT.encode(), _NO_START, None)


def clock() -> tuple[int, int] | None:
    """Hz, and frames of a cycle, of the running JACK server; None when there is none."""
    client = enter()
    if client is None:
        return None
    found = int(library().jack_get_sample_rate(client)), int(library().jack_get_buffer_size(client))
    library().jack_client_close(client)
    return found


class Client:
    """A client of a JACK server that may vanish and come back; what it does each cycle is compiled."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._client: Any = None
        self._record = np.zeros(1, RECORD)

    def _enter(self) -> None:
        """Raises DeviceError when no server runs."""
        self._client = enter()
        if self._client is None:
            raise DeviceError("no JACK server runs; start one, or choose another output with --device")
        record, base = self._record[0], int(self._record.ctypes.data)
        record["engine"], record["gone"] = self.engine.address, 0
        for field, function in (
            ("buffer", "jack_port_get_buffer"),
            ("count", "jack_midi_get_event_count"),
            ("get", "jack_midi_event_get"),
        ):
            record[field] = ctypes.cast(getattr(library(), function), ctypes.c_void_p).value
        assert RECORD.fields is not None
        record["event"] = base + int(RECORD.fields["time"][1])

    def _register(self, field: str, name: bytes, kind: bytes, way: int) -> None:
        """A port of ours, remembered in a field of the record. Raises DeviceError when there are too many."""
        port = library().jack_port_register(self._client, name, kind, way | TERMINAL, 0)
        if not port:
            self.close()
            raise DeviceError(f"JACK gives no port {name.decode()}; start it with more ports (jackd -p)")
        self._record[0][field] = port

    def _start(self, cycle: Any, *, count_late: bool) -> None:
        """Take part in the server's cycles. count_late: xruns are the engine's underruns. Raises DeviceError if we may not."""
        lib, base = library(), int(self._record.ctypes.data)
        late, end = _callbacks()
        lib.jack_set_process_callback(self._client, cycle.address, base)
        if count_late:
            lib.jack_set_xrun_callback(self._client, late.address, base)
        lib.jack_on_shutdown(self._client, end.address, base)
        if lib.jack_activate(self._client):
            self.close()
            raise DeviceError("JACK does not let us play; restart it, or choose another output with --device")

    @property
    def name(self) -> str:
        """Of the client, as the server knows it."""
        return str(library().jack_get_client_name(self._client).decode())

    @property
    def playing(self) -> bool:
        """Whether the server is there."""
        return self._client is not None

    @property
    def lost(self) -> bool:
        """Whether the server has gone since we entered."""
        return self._client is not None and bool(self._record[0]["gone"])

    def ports(self, kind: bytes, flags: int) -> list[str]:
        """Names of the server's ports of a kind."""
        if self._client is None:
            return []
        lib = library()
        found = lib.jack_get_ports(self._client, None, kind, flags)
        names: list[str] = []
        while found and found[len(names)]:
            names.append(found[len(names)].decode())
        if found:
            lib.jack_free(found)
        return names

    def connect(self, port: str) -> bool:
        """Lead a MIDI port of the server to our `in`."""
        return self._client is not None and library().jack_connect(self._client, port.encode(), f"{self.name}:in".encode()) == 0

    def close(self) -> None:
        """Leave the server."""
        if self._client is not None:
            client, self._client = self._client, None
            with hushed():
                library().jack_client_close(client)
