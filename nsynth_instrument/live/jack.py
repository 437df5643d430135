"""JACK without PortAudio: sound and MIDI in one client, both handled by compiled code.

PortAudio can play to JACK too, but it cannot leave a server that has died. Here a note starts at its very frame, Python takes no
part in it, and a server that comes back is found again.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from ..errors import DeviceError, UsageError
from .engine import Engine
from .libjack import AUDIO, INPUT, MIDI, OUTPUT, PHYSICAL, RECORD, Client, callback, count, inbox, library, message
from .memory import called, jit, pointer
from .state import DUE, GLOBAL

LARGEST = 8192
"""frames; no JACK server has longer cycles."""


@jit
def _cycle(n: int, user: Any) -> int:
    """One cycle: messages to their frames, then the mixer, then left and right to their ports."""
    c = numba.carray(user, (1,), RECORD)[0]
    g = numba.carray(pointer(c.engine), (1,), GLOBAL)[0]
    box = inbox(c, n)
    for i in range(count(c, box)):
        word = message(c, box, i)
        if g.due >= DUE:
            g.panic = 1  # lest a note-off that finds no room leaves a note sounding
        elif word:
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


class JackOutput(Client):
    """A JACK client with the ports in, out_0 and out_1, played by an engine; the outputs go to the first two loudspeakers."""

    label = "JACK"
    stuck = False

    def __init__(self, engine: Engine, *, block: int = 0) -> None:
        """Raises DeviceError when no server runs, UsageError when its cycles have not `block` frames (0: any will do)."""
        super().__init__(engine)
        self._scratch = np.zeros((LARGEST, 2), np.float32)
        self._open()
        if block not in (0, self.block):
            found = self.block
            self.close()
            raise UsageError(
                f"JACK has blocks of {found} frames; leave out --block, or start it with others (jackd ... -p {block})"
            )

    def _open(self) -> None:
        self._enter()
        g, found = self.engine.globals, int(library().jack_get_sample_rate(self._client))
        g["channels"], g["rate"], g["ratio"] = 2, found, self.engine.rate / found
        record = self._record[0]
        record["mixer"], record["scratch"] = self.engine.callback, self._scratch.ctypes.data
        self._register("midi", b"in", MIDI, INPUT)
        self._register("left", b"out_0", AUDIO, OUTPUT)
        self._register("right", b"out_1", AUDIO, OUTPUT)
        self._start(callback(_cycle), count_late=True)
        for port, speaker in zip(("out_0", "out_1"), self.ports(AUDIO, INPUT | PHYSICAL), strict=False):
            library().jack_connect(self._client, f"{self.name}:{port}".encode(), speaker.encode())
        self.engine.begun()

    @property
    def block(self) -> int:
        """frames of the server's cycle; 0 without a server."""
        return int(library().jack_get_buffer_size(self._client)) if self._client else 0

    @property
    def latency(self) -> float:
        """s from a key to the loudspeaker's port at most: a cycle."""
        return self.block / float(self.engine.globals["rate"])

    @property
    def load(self) -> float:
        """Part of a cycle that all of JACK takes, 0..1."""
        return float(library().jack_cpu_load(self._client)) / 100.0 if self._client else 0.0

    def watch(self) -> str | None:
        """Look after the server: a sentence when it vanished or came back."""
        if self.lost:
            self.close()
            self.engine.panic()
            return "JACK is gone; waiting for it"
        if not self.playing:
            try:
                self._open()
            except DeviceError:
                return None
            return "playing on JACK again"
        return None
