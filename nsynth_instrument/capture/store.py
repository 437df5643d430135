"""The user's own instruments on disk: notes as FLAC, what is known of them in `instrument.toml`, codes by model.

A folder each under `user_home()/instruments`; it appears whole. The notes are what counts; codes belong to one model, are
made when they are wanted, and are kept beside the notes.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tomli_w

from .. import audio as sound
from ..bundle import put, sha256, user_home
from ..errors import DataError, NsynthError, UnknownName, UsageError
from .note import LONGEST, RATE, RELEASE, Sound

FORMAT = 1
MANIFEST = "instrument.toml"
CODES = "codes"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class About:
    """What people are told of an instrument. name: as it is asked for; family, source: NSynth's words, or "own"."""

    name: str
    title: str
    family: str = "own"
    source: str = "acoustic"
    licence: str = "not stated"


@dataclass(frozen=True)
class Row:
    """One note in the manifest; file: its FLAC; gain: dB to be added to that; the rest as in `Sound`."""

    file: str
    sha256: str
    pitch: int
    velocity: int
    hold: float
    sustains: bool
    gain: float
    cents: float
    label: str
    how: str

    def __post_init__(self) -> None:
        if Path(self.file).name != self.file or self.file.startswith("."):
            raise ValueError(f"a file that leaves the folder: {self.file}")
        if not (0 <= self.pitch < 128 and 1 <= self.velocity < 128 and 0 < self.hold <= LONGEST + 1 and abs(self.gain) < 200):
            raise ValueError(f"a note that cannot be: {self.file}")


@dataclass(frozen=True)
class Stored:
    """One captured instrument."""

    folder: Path
    about: About
    notes: tuple[Row, ...]

    def sounds(self) -> list[Sound]:
        """The notes with their sound. Raises DataError when one is missing or damaged."""
        return [self._sound(row) for row in self.notes]

    def _sound(self, row: Row) -> Sound:
        path = self.folder / row.file
        try:
            if sha256(path) != row.sha256:
                raise DataError(f"{path} is not what was captured; capture {self.about.name} again")
            found, _ = sound.read(path, rate=RATE)
        except OSError as e:
            raise DataError(f"{path} cannot be read ({e.strerror}); capture {self.about.name} again") from e
        audio = sound.fit(found * np.float32(10 ** (row.gain / 20)), round((row.hold + RELEASE) * RATE))
        return Sound(row.pitch, row.velocity, row.hold, row.sustains, audio, row.cents, row.label, row.how)

    @property
    def keys(self) -> tuple[int, int]:
        """Lowest and highest key that was recorded."""
        pitches = [row.pitch for row in self.notes]
        return min(pitches), max(pitches)

    @property
    def fingerprint(self) -> str:
        """Changes with every note."""
        return sha256(self.folder / MANIFEST)


def home() -> Path:
    """The folder of all of them."""
    return user_home() / "instruments"


def check_name(name: str) -> str:
    """The name as it will be asked for. Raises UsageError for one that cannot be a folder's and an option's."""
    low = name.strip().lower()
    if not _NAME.fullmatch(low):
        raise UsageError(f"an instrument cannot be called {name!r}; use up to 40 small letters, digits, - and _, as in my_voice")
    return low


def save(about: About, sounds: Sequence[Sound], *, replace: bool = False) -> Stored:
    """Keep an instrument; its folder appears whole. Raises UsageError when there is one of that name, unless `replace`."""
    folder = home() / check_name(about.name)
    if folder.exists() and not replace:
        raise UsageError(f"there is an instrument {about.name} already; choose another name, or replace it with --force")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{about.name}.", dir=folder.parent))
    except OSError as e:
        raise NsynthError(f"cannot write in {folder.parent} ({e.strerror}); see NSYNTH_INSTRUMENT_HOME") from e
    try:
        rows = [_write(part, s) for s in sounds]
        manifest = {
            "format": FORMAT, "title": about.title, "family": about.family, "source": about.source, "licence": about.licence,
            "notes": [asdict(row) for row in rows],
        }  # fmt: skip
        (part / MANIFEST).write_text(tomli_w.dumps(manifest), "utf-8")
        put(part, folder)
    except OSError as e:
        raise NsynthError(f"cannot write {folder} ({e.strerror or e}); free some space and try again") from e
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return load(about.name)


def _write(folder: Path, s: Sound) -> Row:
    file = f"{s.pitch:03d}-{s.velocity:03d}.flac"
    gain = 20 * float(np.log10(max(float(np.abs(s.audio).max()), 1e-6) / 0.9))
    (folder / file).write_bytes(sound.encode(s.audio * np.float32(10 ** (-gain / 20)), RATE, kind="FLAC"))
    return Row(file, sha256(folder / file), s.pitch, s.velocity, s.hold, s.sustains, gain, s.cents, s.label, s.how)


def load(name: str) -> Stored:
    """The captured instrument called `name`. Raises UnknownName, or DataError when it is damaged."""
    folder = home() / name
    if not _NAME.fullmatch(name) or not (folder / MANIFEST).is_file():
        raise UnknownName("captured instrument", name, (f.name for f in _folders()))
    return _read(folder)


def installed() -> list[Stored]:
    """All of them, by name; damaged ones are left out."""
    out = []
    for folder in _folders():
        try:
            out.append(_read(folder))
        except DataError:
            continue
    return out


def remove(name: str) -> Path:
    """Forget a captured instrument, its notes and its codes; the folder that is gone. Raises UnknownName."""
    if not _NAME.fullmatch(name) or name not in {f.name for f in _folders()}:
        raise UnknownName("captured instrument", name, (f.name for f in _folders()))
    folder = home() / name
    try:
        gone = Path(tempfile.mkdtemp(prefix=f".{name}.gone.", dir=folder.parent))
        folder.rename(gone / "was")
        shutil.rmtree(gone)
    except OSError as e:
        raise NsynthError(f"cannot remove {folder} ({e.strerror or e}); close what uses it and try again") from e
    return folder


def _folders() -> list[Path]:
    root = home()
    return sorted(f for f in root.iterdir() if _NAME.fullmatch(f.name) and f.is_dir()) if root.is_dir() else []


def _read(folder: Path) -> Stored:
    path = folder / MANIFEST
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
        if raw["format"] != FORMAT:
            raise ValueError(f"format {raw['format']}")
        about = About(folder.name, *(str(raw[k]) for k in ("title", "family", "source", "licence")))
        return Stored(folder, about, tuple(Row(**{**r, "hold": float(r["hold"])}) for r in raw["notes"]))
    except (OSError, KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError) as e:
        raise DataError(f"{path} is damaged ({e}); capture {folder.name} again, or remove it") from e
