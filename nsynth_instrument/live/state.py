"""Everything the engine remembers, as plain NumPy records.

One memory is seen from two sides: Python, which loads and shows, and the compiled mixer, which plays inside the
sound card's callback. Records are C structs, so both read the same bytes and nothing is copied or locked. A field
has one writer: fields marked (P) are written by Python, all others by the mixer alone once it runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

TICK = 64
"""frames; envelopes, controllers and morph are computed once a tick and ramped in between."""

GUARD = 8
"""frames before and after every stretch of sample, so that the interpolator needs no test for its edges."""

TAPS, PHASES = 8, 512
"""Length of the interpolator and number of positions between two frames at which it is tabulated."""

LANES = 8
"""A voice reads up to 2 velocity layers x 2 x 2 neighbouring morph positions; one lane each."""

STEEPEST = 4.0
"""frames a frame up to which lanes in step are read together: two octaves up."""

RING = 4096
"""Messages that can wait for the next block; a power of two."""

DUE = 256
"""Messages with a frame of their own that one block may bring."""

RECORD = 1 << 19
"""frames that a recorder may lag behind (11 s at 48 kHz); a power of two."""

FREE, HELD, PEDALLED, RELEASED, DYING = range(5)
"""States of a voice: key down; key up but a pedal holds it; in release; fading within 4 ticks because stolen."""

ATTACK, DECAY, RELEASE = range(3)

NOTHING, VIBRATO, MORPH, LOUDNESS = range(4)
"""What aftertouch does."""

VOICE = np.dtype(
    [
        ("state", "i4"), ("channel", "i4"), ("key", "i4"), ("pack", "i4"),
        ("stage", "i4"), ("sostenuto", "i4"), ("looping", "i4"), ("own", "i4"),  # own: bend, pressure frozen at note-off (MPE)
        ("xi", "i4"), ("yi", "i4"),  # lower neighbour on each morph axis
        ("age", "i8"),
        ("velocity", "f8"), ("env", "f8"), ("fade", "f8"), ("level", "f8"),
        ("x", "f8"), ("y", "f8"), ("bend", "f8"), ("pressure", "f8"), ("timbre", "f8"),
        ("poly", "f8"), ("poly_to", "f8"), ("swell", "f8"),
        ("sample", "i4", LANES),  # index, or -1
        ("pos", "f8", LANES),  # frames
        ("step", "f8", LANES),  # frames per frame, before bend
        ("weight", "f8", LANES),  # of the velocity layer
        ("gain", "f8", LANES),  # reached at the end of the last tick
        ("to", "f8", LANES),  # to be reached at the end of this one
        ("beside", "f8", (LANES, 2)),  # of its LAYER
    ],
    align=True,
)  # fmt: skip

CHANNEL = np.dtype(
    [
        ("pack", "i4"), ("bank_msb", "i4"), ("bank_lsb", "i4"),
        ("wheel", "i4"), ("volume", "i4"), ("pan", "i4"), ("expression", "i4"),
        ("sustain", "i4"), ("sostenuto", "i4"), ("soft", "i4"),
        ("bend", "i4"), ("pressure", "i4"), ("timbre", "i4"),  # timbre: -1 until CC 74 is heard
        ("breath", "i4"),  # the morph's second axis: CC 2, or CC 74
        ("rpn_msb", "i4"), ("rpn_lsb", "i4"),
        ("range_semis", "i4"), ("range_cents", "i4"),
        ("left_to", "f8"), ("right_to", "f8"), ("left0", "f8"), ("right0", "f8"), ("left", "f8"), ("right", "f8"),
        ("bend_to", "f8"), ("bend_now", "f8"), ("pressure_now", "f8"),
    ],
    align=True,
)  # fmt: skip

GLOBAL = np.dtype(
    [
        ("frame", "i8"),  # played since the start
        ("age", "i8"),  # notes started
        ("tail", "i8"), ("port_tail", "i8"),  # next message to take from either ring
        ("blocks", "i8"), ("underruns", "i8"), ("stolen", "i8"), ("ignored", "i8"),
        ("event", "i8"),  # next of the song
        ("sounding", "i8"),  # voices in the last tick
        ("last_channel", "i4"), ("mpe", "i4"),  # mpe: member channels of the lower zone, 0 = off
        ("peak", "f8"),  # since Python last set it to 0 (P)
        ("limit", "f8"), ("loudness", "f8"), ("lfo", "f8"),
        ("rate", "f8"),  # Hz (P)
        ("ratio", "f8"),  # rate of the loaded samples over that of the device (P)
        # s, s, 0..1, s (P); release < 0: each pack's own
        ("attack", "f8"), ("decay", "f8"), ("sustain", "f8"), ("release", "f8"),
        ("gain", "f8"),  # linear (P)
        ("tune", "f8"),  # semitones (P)
        ("voices", "i4"),  # limit on voices (P)
        ("channel", "i4"),  # -1 = all (P)
        ("aftertouch", "i4"),  # VIBRATO.. (P)
        ("channels", "i4"),  # of the device (P)
        ("block", "i4"),  # frames of the last callback
        ("panic", "i4"),  # Python raises it, the mixer silences everything and clears it
        ("record", "i4"),  # 1 = copy what is played to the tape (P)
        ("slots", "i4"),  # voices there is room for: twice the limit, since stolen ones fade (P)
        ("packs", "i4"), ("events", "i8"),  # how many (P)
        # addresses of arrays (P): VOICE, CHANNEL (16,), PACK, f8, CELL, LAYER, SAMPLE
        ("voice_at", "u8"), ("channel_at", "u8"), ("pack_at", "u8"), ("axis_at", "u8"),
        ("cell_at", "u8"), ("layer_at", "u8"), ("sample_at", "u8"),
        # i8 (RING,): number << 32 | message; i8 (events, 2): frame, message; f4: interpolator; f4 (RECORD, 2)
        ("ring_at", "u8"), ("song_at", "u8"), ("sinc_at", "u8"), ("tape_at", "u8"),
        ("port_at", "u8"),  # a second ring, for messages that compiled code sends
        ("heard_at", "u8"),  # i8 (RING, 2): frame and message of all that was heard
        ("heard", "i8"),
        # messages of this block, from a callback that knows their frames
        ("due", "i8"), ("due_frame", "i8", DUE), ("due_word", "i8", DUE),
        ("mix", "f4", 3 * TICK),  # left, right, one voice
        ("wide", "f4", int(STEEPEST) * TICK + 2 * TAPS),  # lanes of a voice, added before they are interpolated
    ],
    align=True,
)  # fmt: skip

SAMPLE = np.dtype(
    [
        # addresses of frame -GUARD of: the head in RAM, the whole up to the loop's end, and what follows the loop
        ("attack", "u8"), ("body", "u8"), ("after", "u8"),
        ("head", "f8"),  # frames readable at `attack`; 0 = none
        ("frames", "f8"),
        ("loop_start", "f8"), ("loop_end", "f8"),  # loop_end: first frame not played, may be fractional; 0 = no loop
        ("switch", "f8"),  # a released voice reads `after` from here on
        ("root", "f8"),
        ("mapped", "i4"),
    ],
    align=True,
)  # fmt: skip

LAYER = np.dtype(
    [("sample", "i4"), ("velocity", "f8"), ("rms", "f8"), ("likeness", "f8"), ("beside", "f8", 2)],
    align=True,
)
"""likeness: correlation with the next louder layer, -1..1; beside: how far the power of this and of the same layer at the next
position on each axis, halfway between them, exceeds the sum of theirs: 0 for strangers, 1 for twins, -0.5 for opposites."""

CELL = np.dtype([("first", "i4"), ("count", "i4")], align=True)
"""The layers of one key at one morph position."""

PACK = np.dtype([("cell", "i4"), ("nx", "i4"), ("ny", "i4"), ("axis", "i4"), ("release", "f8")], align=True)
"""cell: of key 0 at position 0; axis: where nx + ny coordinates stand among all axes."""

Array = npt.NDArray[Any]


def sinc() -> Array:
    """float32 ((PHASES + 1) * TAPS,): a windowed sinc at each fraction 0..1; tap 3 is the frame itself.

    Kaiser, beta 7. At 48 kHz: flat within 0.2 dB to 14 kHz, errors 62 dB down to 10 kHz (a cubic has 27). Each row sums to 1,
    so that a constant stays constant.
    """
    fraction = np.arange(PHASES + 1)[:, None] / PHASES
    x = np.arange(TAPS)[None, :] - (TAPS // 2 - 1) - fraction
    inside = np.clip(1.0 - (x / (TAPS / 2)) ** 2, 0.0, None)
    table = np.sinc(x) * np.i0(7.0 * np.sqrt(inside)) * (inside > 0)
    table[0], table[-1] = np.eye(TAPS)[TAPS // 2 - 1], np.eye(TAPS)[TAPS // 2]
    return np.ascontiguousarray((table / table.sum(axis=1, keepdims=True)).astype(np.float32).ravel())
