"""JACK without PortAudio: sound and MIDI in one client, both handled by compiled code.

PortAudio can play to JACK too, but it cannot leave a server that has died, and RtMidi loses where in the cycle a message
came. Here a note starts at its very frame, Python takes no part in it, and a server that comes back is found again.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
from typing import Any

import numba
import numpy as np

from ..errors import DeviceError, UnknownName, UsageError
from .engine import Engine
from .memory import called, jit, pointer
from .midi import CLIENT, hushed, let_go
from .state import DUE, GLOBAL

LARGEST = 8192
"""frames; no JACK server has longer cycles."""

_NO_START = 0x01
_INPUT, _OUTPUT, _PHYSICAL, _TERMINAL = 0x1, 0x2, 0x4, 0x10
_AUDIO, _MIDI = b"32 bit float mono audio", b"8 bit raw midi"

_CLIENT = np.dtype(
    [
        ("mixer", "u8"), ("engine", "u8"), ("scratch", "u8"),
        ("left", "u8"), ("right", "u8"), ("midi", "u8"),  # ports
        ("buffer", "u8"), ("count", "u8"), ("get", "u8"),  # functions of libjack
        ("event", "u8"),  # address of `time`: a jack_midi_event_t
        ("gone", "i8"),
        ("time", "u4"), ("_", "u4"), ("size", "u8"), ("data", "u8"),
    ],
    align=True,
)  # fmt: skip


@jit
def _cycle(n: int, user: Any) -> int:
    """One cycle: messages to their frames, then the mixer, then left and right to their ports."""
    c = numba.carray(user, (1,), _CLIENT)[0]
    g = numba.carray(pointer(c.engine), (1,), GLOBAL)[0]
    port = called(c.buffer, c.midi, n, 0, 0, 0, 0)
    for i in range(called(c.count, port, 0, 0, 0, 0, 0) & 0xFFFFFFFF):
        called(c.get, c.event, port, i, 0, 0, 0)
        if g.due >= DUE:
            g.panic = 1  # lest a note-off that finds no room leaves a note sounding
        elif 0 < c.size <= 3:
            data = numba.carray(pointer(c.data), (3,), np.uint8)
            word = np.int64(data[0])
            for k in range(1, np.int64(c.size)):
                word |= np.int64(data[k]) << (8 * k)
            g.due_frame[g.due] = g.frame + np.int64(c.time)
            g.due_word[g.due] = word
            g.due += 1
    if n > LARGEST:
        return 1
    called(c.mixer, 0, c.scratch, n, 0, 0, c.engine)
    sound = numba.carray(pointer(c.scratch), (LARGEST, 2), np.float32)
    left = numba.carray(pointer(called(c.buffer, c.left, n, 0, 0, 0, 0)), (LARGEST,), np.float32)
    right = numba.carray(pointer(called(c.buffer, c.right, n, 0, 0, 0, 0)), (LARGEST,), np.float32)
    for i in range(n):
        left[i], right[i] = sound[i, 0], sound[i, 1]
    return 0


@functools.cache
def _callbacks() -> tuple[Any, Any, Any]:
    """What JACK calls, compiled: each cycle, at an xrun, at its end."""
    t = numba.types

    def cycle(n: Any, user: Any) -> Any:
        return _cycle(n, user)

    def late(user: Any) -> Any:
        c = numba.carray(user, (1,), _CLIENT)[0]
        numba.carray(pointer(c.engine), (1,), GLOBAL)[0].underruns += 1
        return 0

    def end(user: Any) -> None:
        numba.carray(user, (1,), _CLIENT)[0].gone = 1

    return (
        numba.cfunc(t.int32(t.uint32, t.voidptr), nopython=True)(cycle),
        numba.cfunc(t.int32(t.voidptr), nopython=True)(late),
        numba.cfunc(t.void(t.voidptr), nopython=True)(end),
    )


@functools.cache
def _library() -> Any:
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


def _enter() -> Any:
    """A client of a running server, or None."""
    lib = _library()
    if lib is None:
        return None
    with hushed():
        return lib.jack_client_open(CLIENT.encode(), _NO_START, None)


def clock() -> tuple[int, int] | None:
    """Hz, and frames of a cycle, of the running JACK server; None when there is none."""
    client = _enter()
    if client is None:
        return None
    found = int(_library().jack_get_sample_rate(client)), int(_library().jack_get_buffer_size(client))
    _library().jack_client_close(client)
    return found


class JackOutput:
    """A JACK client with the ports in, out_0 and out_1, played by an engine; the outputs go to the first two loudspeakers."""

    label = "JACK"

    def __init__(self, engine: Engine, *, block: int = 0) -> None:
        """Raises DeviceError when no server runs, UsageError when its cycles have not `block` frames (0: any will do)."""
        self.engine = engine
        self._client: Any = None
        self._record = np.zeros(1, _CLIENT)
        self._scratch = np.zeros((LARGEST, 2), np.float32)
        self._open()
        if block not in (0, self.block):
            found = self.block
            self.close()
            raise UsageError(
                f"JACK has blocks of {found} frames; leave out --block, or start it with others (jackd ... -p {block})"
            )

    def _open(self) -> None:
        lib, client = _library(), _enter()
        if client is None:
            raise DeviceError("no JACK server runs; start one, or choose another output with --device")
        self._client = client
        self._engine_rate()
        record = self._record[0]
        record["mixer"], record["engine"], record["scratch"] = (
            self.engine.callback,
            self.engine.address,
            self._scratch.ctypes.data,
        )
        for field, name, kind, way in (
            ("midi", b"in", _MIDI, _INPUT),
            ("left", b"out_0", _AUDIO, _OUTPUT),
            ("right", b"out_1", _AUDIO, _OUTPUT),
        ):
            record[field] = lib.jack_port_register(client, name, kind, way | _TERMINAL, 0) or 0
            if not record[field]:
                self.close()
                raise DeviceError(f"JACK gives no port {name.decode()}; start it with more ports (jackd -p)")
        for field, function in (
            ("buffer", "jack_port_get_buffer"),
            ("count", "jack_midi_get_event_count"),
            ("get", "jack_midi_event_get"),
        ):
            record[field] = ctypes.cast(getattr(lib, function), ctypes.c_void_p).value
        base = int(self._record.ctypes.data)
        assert _CLIENT.fields is not None
        record["event"], record["gone"] = base + int(_CLIENT.fields["time"][1]), 0
        cycle, late, end = _callbacks()
        lib.jack_set_process_callback(client, cycle.address, base)
        lib.jack_set_xrun_callback(client, late.address, base)
        lib.jack_on_shutdown(client, end.address, base)
        if lib.jack_activate(client):
            self.close()
            raise DeviceError("JACK does not let us play; restart it, or choose another output with --device")
        for port, speaker in zip(("out_0", "out_1"), self.ports(_AUDIO, _INPUT | _PHYSICAL), strict=False):
            lib.jack_connect(client, f"{self.name}:{port}".encode(), speaker.encode())
        self.engine.begun()

    def _engine_rate(self) -> None:
        g, found = self.engine.globals, int(_library().jack_get_sample_rate(self._client))
        g["channels"], g["rate"], g["ratio"] = 2, found, self.engine.rate / found

    @property
    def name(self) -> str:
        """Of the client, as the server knows it."""
        return str(_library().jack_get_client_name(self._client).decode())

    @property
    def block(self) -> int:
        """frames of the server's cycle; 0 without a server."""
        return int(_library().jack_get_buffer_size(self._client)) if self._client else 0

    @property
    def latency(self) -> float:
        """s from a key to the loudspeaker's port at most: a cycle."""
        return self.block / float(self.engine.globals["rate"])

    @property
    def load(self) -> float:
        """Part of a cycle that all of JACK takes, 0..1."""
        return float(_library().jack_cpu_load(self._client)) / 100.0 if self._client else 0.0

    @property
    def playing(self) -> bool:
        """Whether the server is there."""
        return self._client is not None

    def ports(self, kind: bytes, flags: int) -> list[str]:
        """Names of the server's ports of a kind."""
        if self._client is None:
            return []
        lib = _library()
        found = lib.jack_get_ports(self._client, None, kind, flags)
        names: list[str] = []
        while found and found[len(names)]:
            names.append(found[len(names)].decode())
        if found:
            lib.jack_free(found)
        return names

    def watch(self) -> str | None:
        """Look after the server: a sentence when it vanished or came back."""
        if self._client is not None and self._record[0]["gone"]:
            self.close()
            self.engine.panic()
            return "JACK is gone; waiting for it"
        if self._client is None:
            try:
                self._open()
            except DeviceError:
                return None
            return "playing on JACK again"
        return None

    def connect(self, port: str) -> bool:
        """Lead a MIDI port of the server to our `in`."""
        return self._client is not None and _library().jack_connect(self._client, port.encode(), f"{self.name}:in".encode()) == 0

    def close(self) -> None:
        """Leave the server."""
        if self._client is not None:
            client, self._client = self._client, None
            with hushed():
                _library().jack_client_close(client)


class JackPorts:
    """Keyboards on JACK: connected to our client as they appear, and missed when they vanish."""

    name = "jack"

    def __init__(self, output: JackOutput, *, port: str | None = None, virtual: bool = False) -> None:
        """port: part of a name, None = every physical port; virtual: connect none. Raises UnknownName if it is not there."""
        self._output, self._wanted, self._virtual = output, port.lower() if port else None, virtual
        self._open: list[str] = []
        if self._wanted and not self._found():
            raise UnknownName("MIDI port", str(port), output.ports(_MIDI, _OUTPUT))
        self.poll()

    @property
    def open(self) -> list[str]:
        """Names of the ports that are listened to."""
        return [f"{self._output.name}:in"] if self._virtual and self._output.playing else list(self._open)

    def _found(self) -> list[str]:
        if self._wanted:
            return [p for p in self._output.ports(_MIDI, _OUTPUT) if self._wanted in p.lower()]
        return [p for p in self._output.ports(_MIDI, _OUTPUT | _PHYSICAL) if "midi through" not in p.lower()]

    def poll(self) -> list[str]:
        """Connect what has appeared; sentences for the player."""
        if self._virtual:
            return []
        found, news = self._found(), []
        for name in [n for n in self._open if n not in found]:
            self._open.remove(name)
            news.append(f"{name} is gone")
            let_go(self._output.engine.send)
        for name in found:
            if name not in self._open and self._output.connect(name):
                self._open.append(name)
                news.append(f"listening to {name}")
        return news

    def close(self) -> None:
        """Nothing to do: the connections end with the client."""
