"""Keyboards on JACK, whatever plays the sound: RtMidi is not asked, since it would hold up the server.

RtMidi opens a client each time it is asked for names, which changes the server's graph, and keeps the interpreter's lock until
the next cycle; a message that comes meanwhile waits for that lock, and the cycle for the message.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numba
import numpy as np

from ..errors import DeviceError, UnknownName
from .engine import Engine
from .libjack import INPUT, MIDI, OUTPUT, PHYSICAL, RECORD, Client, callback, count, inbox, message
from .memory import jit, pointer
from .midi import CLIENT, let_go
from .state import GLOBAL, RING


@jit
def _hear(n: int, user: Any) -> int:
    """One cycle: messages to the engine's second ring, which has no other writer."""
    c = numba.carray(user, (1,), RECORD)[0]
    g = numba.carray(pointer(c.engine), (1,), GLOBAL)[0]
    ring = numba.carray(pointer(g.port_at), (RING,), np.int64)
    box = inbox(c, n)
    for i in range(count(c, box)):
        word = message(c, box, i)
        if word:
            if c.sent - g.port_tail >= RING:
                g.panic = 1  # as Engine.send does
            else:
                ring[c.sent % RING] = (c.sent + 1) << 32 | word
                c.sent += 1
    return 0


class JackInput(Client):
    """A JACK client with the port `in` alone, for an engine that is not played by JACK, or by PortAudio; one for each engine."""

    def __init__(self, engine: Engine) -> None:
        """Raises DeviceError when no server runs."""
        super().__init__(engine)
        self._open()

    def _open(self) -> None:
        self._enter()
        self._register("midi", b"in", MIDI, INPUT)
        self._start(callback(_hear), count_late=False)

    def watch(self) -> None:
        """Look after the server: leave it when it has gone, enter when it is back."""
        if self.lost:
            self.close()
        elif not self.playing:
            with contextlib.suppress(DeviceError):
                self._open()


class JackPorts:
    """Keyboards on JACK: connected to a client of ours as they appear, and missed when they vanish."""

    name = "jack"

    def __init__(self, client: Client, *, port: str | None = None, virtual: bool = False, every: bool = False) -> None:
        """port: part of a name, None = every physical port, or with `every` other programs' too; virtual: connect none.

        The client is looked after by others, unless it is a JackInput. Raises UnknownName if a port that is named is not there.
        """
        self._client, self._wanted, self._virtual, self._every = client, port.lower() if port else None, virtual, every
        self._open: list[str] = []
        if self._wanted and not self._found():
            there = client.ports(MIDI, OUTPUT)
            self.close()
            raise UnknownName("MIDI port", str(port), there)
        self.poll()

    @property
    def open(self) -> list[str]:
        """Names of the ports that are listened to."""
        return [f"{self._client.name}:in"] if self._virtual and self._client.playing else list(self._open)

    def _found(self) -> list[str]:
        if self._wanted:
            return [p for p in self._client.ports(MIDI, OUTPUT) if self._wanted in p.lower()]
        found = self._client.ports(MIDI, OUTPUT if self._every else OUTPUT | PHYSICAL)
        return [p for p in found if "midi through" not in p.lower() and CLIENT not in p]

    def poll(self) -> list[str]:
        """Connect what has appeared; sentences for the player."""
        if isinstance(self._client, JackInput):
            self._client.watch()
        if self._virtual:
            return []
        found, news = self._found(), []
        for name in [n for n in self._open if n not in found]:
            self._open.remove(name)
            news.append(f"{name} is gone")
            let_go(self._client.engine.send)
        for name in found:
            if name not in self._open and self._client.connect(name):
                self._open.append(name)
                news.append(f"listening to {name}")
        return news

    def close(self) -> None:
        """Leave the server, if the client is there for the keyboards alone; else the connections end with it."""
        if isinstance(self._client, JackInput):
            self._client.close()
