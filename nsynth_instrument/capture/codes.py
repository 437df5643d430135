"""Captured notes as an instrument of a model: all of one length, encoded, and kept for the next time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..audio import Audio, fade, fit, resample, whole
from ..bank import Instrument, InstrumentBank
from ..bundle import Bundle
from ..codecs import Codec, known
from ..codes import FRAME_RATE
from ..dsp.loops import bake, find_loop
from ..errors import DataError
from ..instruments import BANK
from ..notes import Note, hz
from .note import RATE, RELEASE, Sound
from .store import CODES, About, Stored

NSYNTH = 3.0
"""s that NSynth's notes are held; what dies away by itself gets at least as long."""
BLEND = RATE // 50
"""Frames of a crossfade."""
FEW = 32
"""Notes up to which codes are refined, up to five seconds of work each; of more, neighbours say what codes leave out."""
DAMPED = RATE // 4
"""Frames in which a note that rings longer than the others is faded once it is let go."""


def instrument(about: About, sounds: Sequence[Sound], codec: Codec) -> Instrument:
    """The notes as the codec's codes.

    One note keeps its own length. Several share one, the median hold: what holds its level is brought to it by a loop,
    what dies away by silence. A codec that knows one length alone gets that.
    """
    frames = codec.frames or round((_hold(sounds) + RELEASE) * FRAME_RATE)
    notes = [Note(s.pitch, s.velocity) for s in sounds]
    audio = [resample(at_length(s, frames), RATE, codec.rate) for s in sounds]
    codes = known(codec, audio, notes) if len(notes) <= FEW else codec.encode(audio, notes)
    codes = [c[:frames] for c in codes]
    detail = codec.detail(audio, notes, codes)
    pitches, velocities = (np.array(column, np.int16) for column in zip(*((n.pitch, n.velocity) for n in notes), strict=True))
    return Instrument(
        about.name, about.family, about.source, about.title, about.licence, pitches, velocities, np.stack(codes), detail
    )


def _hold(sounds: Sequence[Sound]) -> float:
    held = [s.hold for s in sounds if s.sustains]
    return float(np.median(held)) if held else max(NSYNTH, max(s.hold for s in sounds))


def at_length(s: Sound, frames: int) -> Audio:
    """The note's audio at 48 kHz in that many code frames, let go 1 s before their end."""
    total = round(frames / FRAME_RATE * RATE)
    held, hold = total - round(RELEASE * RATE), round(s.hold * RATE)
    if abs(held - hold) <= BLEND or (held > hold and not s.sustains):
        return fit(s.audio, total)  # what dies away ends when it ends, and its own release comes where it was
    if held > hold:
        body = _longer(s, held + BLEND)
    elif s.sustains:
        body = s.audio[: held + BLEND]
    else:
        return fit(fade(s.audio[: held + DAMPED], DAMPED), total)
    out = np.concatenate([body[:held], s.audio[hold:]])
    ramp = np.linspace(0, 1, BLEND, dtype=np.float32)
    out[held : held + BLEND] = out[held : held + BLEND] * np.sqrt(ramp) + body[held:] * np.sqrt(1 - ramp)
    return fit(out, total)


def _longer(s: Sound, frames: int) -> Audio:
    """The note's hold at a greater length: a seamless loop where one is found, else its second half again and again."""
    hold = round(s.hold * RATE)
    loop = find_loop(s.audio, RATE, hz(s.pitch), hold_seconds=s.hold) if s.hold > 1 else None
    if loop is not None:
        baked = bake(s.audio, loop)
        turn = baked[loop.start : loop.end + 1]
        return np.concatenate([baked[: loop.end + 1], np.tile(turn, -(-frames // len(turn)))])[:frames]
    period = RATE / hz(s.pitch)
    turn = s.audio[max(0, hold - round(max(1, int(hold / 2 / period)) * period)) : hold]
    n = min(BLEND, len(turn) // 2)
    ramp = np.linspace(0, 1, n, dtype=np.float32)  # whole periods apart, both are alike: their amplitudes add
    out = s.audio[:hold]
    while len(out) < frames:
        out = np.concatenate([out[:-n], out[-n:] * (1 - ramp) + turn[:n] * ramp, turn[n:]])
    return out[:frames]


def of(stored: Stored, model: Bundle, codec: Codec) -> Instrument:
    """A captured instrument as `model` hears it, from its kept codes or made now and kept."""
    kept = recall(stored, model)
    if kept is None:
        kept = instrument(stored.about, stored.sounds(), codec)
        path = _path(stored, model)
        with whole(path) as part:
            part.write_bytes(InstrumentBank.of([kept]).to_bytes())
        kept = InstrumentBank.read(path)[stored.about.name]
    return kept


def recall(stored: Stored, model: Bundle) -> Instrument | None:
    """The instrument of kept codes; None if this model has not heard it, or they are damaged."""
    path = _path(stored, model)
    if not path.is_file():
        return None
    try:
        return InstrumentBank.read(path).instruments.get(stored.about.name)
    except DataError:
        return None


def _path(stored: Stored, model: Bundle) -> Path:
    model = model.guide() or model
    return stored.folder / CODES / f"{model.name}-{network(model)[:16]}-{stored.fingerprint[:8]}.safetensors"


def network(model: Bundle) -> str:
    """Hex digest of what decides a model's codes: its weights and graphs, not its bank."""
    files = sorted((name, digest) for name, digest in model.files.items() if name != BANK)
    return hashlib.sha256(repr(files).encode()).hexdigest()
