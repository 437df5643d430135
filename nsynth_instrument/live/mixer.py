"""What a sound card calls: messages at their frames, then the voices, block after block.

Here all of `hands`, `voices`, `morph` and `lanes` becomes one C function.
"""

from __future__ import annotations

import ctypes
import functools
import zlib
from pathlib import Path
from typing import Any

import numba
import numpy as np

from .hands import hear, panic
from .memory import get_hand, jit, pointer
from .state import GLOBAL, RECORD, RING, TICK
from .voices import tick

UNDERFLOW = 4
"""paOutputUnderflow in PortAudio's PaStreamCallbackFlags."""


@jit
def _snap(g: Any) -> None:
    """Before the first block, volumes stand where they would otherwise glide to."""
    g.loudness = g.gain
    for c in range(16):
        ch = get_hand(g, c)
        ch.left, ch.right = ch.left_to * g.gain, ch.right_to * g.gain


@jit
def _obey(g: Any, address: int, tail: int) -> int:
    """Hear what a ring holds from a number on; the number of the first message that is not there yet."""
    ring = numba.carray(pointer(address), (RING,), np.int64)
    while True:
        word = ring[tail % RING]
        if word >> 32 != tail + 1:
            return tail
        if not g.panic:  # what waits was meant for notes that end now
            hear(g, word & 0xFFFFFF)
        tail += 1


@jit
def process(g: Any, out: Any) -> None:
    """Play the next len(out) frames into out, float32 (frames, channels): what the hands said, then the sound."""
    song = numba.carray(pointer(g.song_at), (g.events, 2), np.int64)
    tape = numba.carray(pointer(g.tape_at), (RECORD, 2), np.float32)
    g.tail = _obey(g, g.ring_at, g.tail)
    g.port_tail = _obey(g, g.port_at, g.port_tail)
    if g.panic:
        panic(g)
        g.panic = 0
    if g.frame == 0:
        _snap(g)
    frames, channels = out.shape
    done = due = 0
    while done < frames:
        n = min(frames - done, TICK - g.frame % TICK)  # ticks stand still while blocks of any size pass over them
        while g.event < g.events and song[g.event, 0] <= g.frame:
            hear(g, song[g.event, 1])
            g.event += 1
        if g.event < g.events:
            n = min(n, song[g.event, 0] - g.frame)
        while due < g.due and g.due_frame[due] <= g.frame:
            hear(g, g.due_word[due])
            due += 1
        if due < g.due:
            n = min(n, g.due_frame[due] - g.frame)
        tick(g, n)
        for i in range(n):
            left, right = g.mix[i], g.mix[TICK + i]
            if channels == 1:
                out[done + i, 0] = np.float32(0.5) * (left + right)
            else:
                out[done + i, 0] = left
                out[done + i, 1] = right
                for c in range(2, channels):
                    out[done + i, c] = 0.0
            if g.record:
                at = (g.frame + i) % RECORD
                tape[at, 0], tape[at, 1] = left, right
        g.frame += n
        done += n
    g.due = 0
    g.blocks += 1


@functools.cache
def callback() -> tuple[int, Any]:
    """Address of the mixer as a PaStreamCallback (PortAudio's C signature), and the object that keeps it alive.

    Its user data is the address of the GLOBAL record. It runs without the interpreter: no lock, no garbage collector, no
    Python thread can delay it. The first call compiles for some seconds, later ones read numba's cache.
    """
    t = numba.types
    ulong = t.uint64 if ctypes.sizeof(ctypes.c_ulong) == 8 else t.uint32
    # numba looks only at this file to tell whether its cache is stale; a constant of all files tells it the rest
    files = [Path(__file__).with_name(f"{name}.py") for name in ("state", "memory", "lanes", "morph", "voices", "hands", "mixer")]
    stamp = zlib.crc32(b"".join(f.read_bytes() for f in files))

    def play(data: Any, output: Any, frames: Any, time: Any, flags: Any, user: Any) -> Any:
        g = numba.carray(user, (1,), GLOBAL)[0]
        if flags & UNDERFLOW:
            g.underruns += 1
        g.block = frames
        process(g, numba.carray(output, (np.intp(frames), np.intp(g.channels)), np.float32))
        return stamp & 0

    compiled = numba.cfunc(t.int32(t.voidptr, t.voidptr, ulong, t.voidptr, ulong, t.voidptr), nopython=True, cache=True)(play)
    return int(compiled.address), compiled
