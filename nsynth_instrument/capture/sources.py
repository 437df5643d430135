"""What can be captured: sound files, folders of them, SFZ, presets of SF2, and sets in the NSynth format.

Each becomes takes: recordings, with what is said of them in maps, chunks and names. Sounds are read when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import audio as sound
from ..audio import Audio
from ..errors import AudioError, DataError, UsageError
from ..notes import Note, NoteGrid
from ..progress import Passed
from . import chunks, names, sfz
from .note import RATE

if TYPE_CHECKING:
    from ..dataset.example import Example

ENDINGS = (".wav", ".wave", ".aif", ".aiff", ".aifc", ".flac", ".ogg", ".oga", ".mp3", ".w64", ".caf", ".au", ".opus")
MOST = 240
"""Notes of one instrument; of more, every second one, or third, or so."""
LISTED = 12
"""Instruments of a set that are named to who must choose one."""
PRESET = NoteGrid(tuple(range(24, 109, 3)), (25, 75, 127))
"""What is rendered of a preset."""


@dataclass(frozen=True, eq=False)
class Take:
    """One recording.

    label: for messages; load: its mono audio (frames,) at 48 kHz, read now, and its loop in frames of that; pitch: MIDI with
    fraction at which it is said to sound, None if nothing says; by: what says so ("name", "map", "chunk", ""); text: the
    words that say it; absolute: whether its octave is certain, as a MIDI number's is; velocity: 1..127, None if nothing
    says; hold: s from its start to its release, None if nothing says; gain: dB at which a map plays it; fade: s in which a map
    lets it go, None if nothing says; counted: whether its velocity is a small number that may count layers.
    """

    label: str
    load: Callable[[], tuple[Audio, tuple[int, int] | None]] = field(repr=False)
    pitch: float | None = None
    by: str = ""
    text: str = ""
    absolute: bool = True
    velocity: int | None = None
    hold: float | None = None
    gain: float = 0.0
    fade: float | None = None
    counted: bool = False


@dataclass(frozen=True)
class Source:
    """takes: what was found; title: for people; family, source: NSynth's words, if they are said; words: what to tell."""

    takes: tuple[Take, ...]
    title: str
    family: str = ""
    source: str = ""
    words: tuple[str, ...] = ()


def is_source(text: str) -> bool:
    """Whether `text` names something on the disk that can be captured, rather than an instrument."""
    path, _ = split(text)
    return path.exists() or path.suffix.lower() in (*ENDINGS, ".sfz", ".sf2", ".sf3", ".tfrecord") or "/" in text or "\\" in text


def read(texts: Sequence[str], stack: ExitStack, passed: Passed | None = None) -> Source:
    """All takes of one or more files or folders.

    `file.sf2#bank:program` names a preset, `folder#instrument_str` an instrument of a set. What must stay open while sounds
    are loaded is left on `stack`. passed: see `Dataset.open`. Raises DataError, UsageError or MissingExtra where something
    is not what it must be.
    """
    parts = [_one(text, stack, passed) for text in texts]
    takes = _thinned([t for p in parts for t in p.takes])
    words = [w for p in parts for w in p.words]
    if any(t.counted for t in takes) and all(t.counted for t in takes if t.velocity is not None):
        words.append("numbers such as v10 are read as layers, not as velocities: what is louder is harder")
        takes = [replace(t, velocity=None) for t in takes]
    found = sum(len(p.takes) for p in parts)
    if len(takes) < found:
        words.append(f"{found} recordings are more than an instrument keeps; {len(takes)} of them, evenly chosen, are taken")
    first = parts[0]
    return Source(tuple(takes), first.title, first.family, first.source, tuple(words))


def _one(text: str, stack: ExitStack, passed: Passed | None) -> Source:
    path, part = split(text)
    if not path.exists():
        raise UsageError(f"there is no file or folder {path}; look at the path, or name a sound of `nsynth-instrument list`")
    if path.is_dir():
        return _folder(path, part, passed)
    if not path.is_file():
        raise UsageError(f"{path} is neither a file nor a folder, but a device or a pipe; save the sound in a file")
    ending = path.suffix.lower()
    if ending == ".sfz":
        return _sfz(path)
    if ending.startswith(".tfrecord"):
        return _nsynth(path, part, passed)
    if ending in (".sf2", ".sf3"):
        return _preset(path, part, stack)
    return Source((_file(path),), path.stem)


def split(text: str) -> tuple[Path, str]:
    """A path and what stands behind its last #; file names may hold a # of their own, as A#3.wav does."""
    path, _, part = text.rpartition("#")
    return (Path(path), part) if path and not Path(text).exists() and Path(path).exists() else (Path(text), "")


def _file(path: Path) -> Take:
    root, said = chunks.root(path), names.parse(path.stem)
    rate_loop = root.loop if root else None

    def load() -> tuple[Audio, tuple[int, int] | None]:
        return _read(path, loop=rate_loop)

    if root is not None:
        return Take(path.name, load, root.pitch, "chunk", "its sampler chunk", True, said.velocity, counted=said.counted)
    key = None if said.key is None else float(said.key)
    return Take(path.name, load, key, "name" if said.by else "", said.by, said.absolute, said.velocity, counted=said.counted)


def _read(path: Path, *, loop: tuple[int, int] | None, offset: int = 0) -> tuple[Audio, tuple[int, int] | None]:
    audio, rate = sound.read(path)
    if offset >= len(audio):
        raise AudioError(f"{path} is played from frame {offset} on, and has {len(audio)}; correct the map")
    if loop and not offset <= loop[0] < loop[1] < len(audio):
        loop = None
    audio = sound.resample(audio[offset:] - audio.mean(), rate, RATE)  # a constant is no sound, but clicks where it is cut
    scale = RATE / rate
    return audio, (round((loop[0] - offset) * scale), round((loop[1] + 1 - offset) * scale) - 1) if loop else None


def _folder(folder: Path, part: str, passed: Passed | None) -> Source:
    if any(next(folder.glob(kind), None) for kind in ("examples.json", "*/examples.json", "*.tfrecord*")):
        return _nsynth(folder, part, passed)
    maps = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".sfz" and not p.name.startswith("."))
    if len(maps) == 1:
        return _sfz(maps[0])
    files = _sounds(folder.iterdir()) or _sounds(folder.rglob("*"))
    if not files:
        raise DataError(f"{folder} holds no sound files; use WAV, AIFF, FLAC, OGG or MP3")
    words = (f"{folder} holds {len(maps)} SFZ files; its sounds are taken without them",) if maps else ()
    return Source(tuple(map(_file, files)), folder.resolve().name, words=words)


def _sounds(paths: Iterator[Path]) -> list[Path]:
    return sorted(p for p in paths if p.suffix.lower() in ENDINGS and not p.name.startswith(".") and p.is_file())


def _sfz(path: Path) -> Source:
    regions = sfz.read(path)
    takes, seen = [], set()
    for r in regions:
        # A sample that plays on many keys is one note: where it sounds as it was recorded, or nearest to that.
        place = (r.sample, r.offset, r.velocity)
        if place not in seen:
            seen.add(place)
            takes.append(_region(r))
    return Source(tuple(takes), path.stem)


def _region(r: sfz.Region) -> Take:
    def load() -> tuple[Audio, tuple[int, int] | None]:
        root = None if r.loop or r.unlooped else chunks.root(r.sample)
        audio, loop = _read(r.sample, loop=r.loop or (root.loop if root else None), offset=r.offset)
        rise = min(round(r.attack * RATE), len(audio))
        audio[:rise] *= np.linspace(0, 1, rise, dtype=np.float32)
        return audio, loop

    velocity = r.velocity
    scaled = 40 * np.log10((velocity or 127) / 127) * r.track
    return Take(r.sample.name, load, r.pitch, "map", "the SFZ", True, velocity, gain=r.volume + float(scaled), fade=r.release)


def _preset(path: Path, part: str, stack: ExitStack) -> Source:
    from ..dataset.gm import family_and_source
    from ..dataset.sf2 import presets
    from ..dataset.soundfont import HELD, Player

    there = presets(path)
    bank, _, program = part.rpartition(":")
    chosen = [p for p in there if part and f"{p.bank}:{p.program}" == f"{bank or 0}:{program}"]
    if len(there) == 1 and not part:
        chosen = list(there)
    if not chosen:
        listed = ", ".join(f"{p.bank}:{p.program} {p.name}" for p in there[:12]) + (", ..." if len(there) > 12 else "")
        raise UsageError(f"say which preset of {path.name}: {path}#BANK:PROGRAM; there are {listed}")
    preset = chosen[0]
    player = stack.enter_context(Player(path))
    family, source = family_and_source(preset.bank, preset.program)

    def take(note: Note) -> Take:
        def load() -> tuple[Audio, None]:
            player.select(preset.bank, preset.program)
            return player.play(note), None

        label = f"{preset.name}, key {note.pitch}, velocity {note.velocity}"
        return Take(label, load, float(note.pitch), "map", "the soundfont", True, note.velocity, HELD)

    return Source(tuple(map(take, PRESET)), preset.name, family, source)


def _nsynth(folder: Path, part: str, passed: Passed | None) -> Source:
    """One instrument of a set, of which no other note is kept: a set may be larger than the memory, and in any order."""
    from ..dataset.nsynth import stream

    names: dict[str, None] = {}
    chosen: list[Example] = []
    damaged: list[str] = []
    for item in stream(folder, passed):
        if isinstance(item, str):
            damaged.append(item)
            continue
        names.setdefault(item.instrument_str)
        if len(names) > 1 and not part:
            chosen.clear()
            if len(names) > LISTED:
                break  # what is left of it, minutes of a large one, would not change the answer
        elif part in ("", item.instrument_str) and item.velocity > 0:
            chosen.append(item)
    there = ", ".join([*list(names)[:LISTED], *(["..."] if len(names) > LISTED else [])])
    if not names:
        raise DataError(f"{folder} has no notes that can be used" + "".join(f"; {d}" for d in damaged[:1]))
    if part and part not in names:
        raise UsageError(f"{folder} has no instrument {part}; it has {there}")
    if len(names) > 1 and not part:
        raise UsageError(f"say which instrument of {folder}: {folder}#NAME; it has {there}")
    name = part or next(iter(names))
    if not chosen:
        raise DataError(f"{name} of {folder} has no notes that can be used")

    def take(place: int) -> Take:
        example = chosen[place]

        def load() -> tuple[Audio, None]:
            return sound.resample(example.audio(), example.sample_rate, RATE), None

        hold = 3.0
        return Take(example.note_str, load, float(example.pitch), "map", "examples.json", True, example.velocity, hold)

    first = chosen[0]
    takes = tuple(take(i) for i in range(len(chosen)))
    return Source(takes, name, first.instrument_family_str, first.instrument_source_str, tuple(damaged))


def _thinned(takes: list[Take]) -> list[Take]:
    """At most MOST takes: of those with a pitch, whole pitches are left out, evenly."""
    if len(takes) <= MOST:
        return takes
    pitches = sorted({t.pitch for t in takes if t.pitch is not None})
    if len(pitches) < 12:
        return [takes[i] for i in np.linspace(0, len(takes) - 1, MOST).astype(int)]
    layers = len(takes) / len(pitches)
    kept = {pitches[i] for i in np.linspace(0, len(pitches) - 1, max(12, int(MOST / layers))).astype(int)}
    return [t for t in takes if t.pitch in kept][: 4 * MOST]
