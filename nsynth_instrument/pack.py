"""A sample pack: which file sounds for which key, velocity and morph position. No audio, no model inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .audio import whole
from .errors import DataError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

MANIFEST = "pack.json"
WORK = ".work"
"""Folder, inside the pack's, of a render that goes on."""
FORMAT = 1
BITS = (16, 24, 32)
"""Bits of a sample; 32 is floating point."""


@dataclass(frozen=True)
class Loop:
    """start, end: frames, 0-based; the frame `end` is played (inclusive). Writers convert."""

    start: int
    end: int


@dataclass(frozen=True)
class Zone:
    """One sample and where it answers.

    file: path relative to the pack's folder; root: MIDI key at which it plays untransposed; velocity: that
    it was rendered at; keys and velocities: inclusive ranges; frames: length; position: along the morph, one
    number per axis in 0..1; peak: of full scale; sha256: of the file.
    """

    file: str
    root: int
    velocity: int
    low_key: int
    high_key: int
    low_velocity: int
    high_velocity: int
    frames: int
    position: tuple[float, ...] = (0.0,)
    loop: Loop | None = None
    peak: float = 0.0
    sha256: str = ""


@dataclass(frozen=True)
class SamplePack:
    """name: letters for files; title: for people; rate: Hz; bits: 16, 24 or 32 (float); release: s after note-off;
    positions: the morph positions in order; plan: the render plan it came from, as plain data.
    """

    name: str
    title: str
    rate: int
    bits: int
    zones: tuple[Zone, ...]
    release: float = 0.3
    positions: tuple[tuple[float, ...], ...] = ((0.0,),)
    licence: str = ""
    sources: tuple[str, ...] = ()
    description: str = ""
    plan: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> Path:
        """Write `pack.json` in the pack's folder, whole or not at all."""
        path = folder / MANIFEST
        with whole(path) as part:
            part.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", "utf-8")
        return path

    @classmethod
    def load(cls, folder: Path) -> SamplePack:
        """Read a pack's folder, or the `pack.json` in it; files are not opened.

        Raises DataError if the manifest is missing, not JSON, or describes zones that cannot be.
        """
        path = folder / MANIFEST if folder.is_dir() else folder
        try:
            raw = json.loads(path.read_text("utf-8"))
            if raw.pop("format") != FORMAT:
                raise DataError(f"{path} was made by another version of nsynth-instrument; render the pack again")
            raw["zones"] = tuple(_zone(z) for z in raw["zones"])
            raw["positions"] = tuple(map(_position, raw["positions"]))
            raw["sources"] = tuple(map(str, raw["sources"]))
            return _possible(_typed(cls(**raw)))
        except OSError as e:
            if (path.parent / WORK).is_dir():
                raise DataError(f"{path.parent} holds a render that is not finished; run the same command again") from e
            raise DataError(f"{folder} is not a pack: {path.name} cannot be read; render it with nsynth-instrument render") from e
        except (ValueError, KeyError, TypeError, OverflowError, AttributeError, RecursionError) as e:
            raise DataError(f"{path} is damaged ({e}); render the pack again") from e


def _zone(raw: dict[str, Any]) -> Zone:
    loop = raw.pop("loop")
    raw["position"] = _position(raw["position"])
    zone = _typed(Zone(**raw, loop=_typed(Loop(**loop)) if loop else None))
    inside = not Path(zone.file).is_absolute() and ".." not in Path(zone.file).parts and "\0" not in zone.file
    keys = 0 <= zone.low_key <= zone.high_key <= 127 and 0 <= zone.root <= 127
    velocities = 1 <= zone.low_velocity <= zone.high_velocity <= 127 and 0 <= zone.velocity <= 127
    looped = zone.loop is None or 0 <= zone.loop.start < zone.loop.end < zone.frames
    if not (inside and keys and velocities and looped and zone.frames > 0):
        raise ValueError(f"zone {zone.file!r} cannot be")
    return zone


def _possible(pack: SamplePack) -> SamplePack:
    """The pack, if what its fields say can be. Raises ValueError."""
    for name, fits in (
        ("rate", 1000 <= pack.rate <= 768000),
        ("bits", pack.bits in BITS),
        ("release", 0 <= pack.release <= 60),
        ("positions", bool(pack.positions) and len({len(p) for p in (*pack.positions, *(z.position for z in pack.zones))}) == 1),
    ):
        if not fits:
            raise ValueError(f"{name} is {getattr(pack, name)!r}")
    return pack


def _position(raw: list[float]) -> tuple[float, ...]:
    found = tuple(map(float, raw))
    if not all(0.0 <= x <= 1.0 for x in found):
        raise ValueError(f"there is no position {found}")
    return found


_KINDS: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "Mapping[str, Any]": Mapping,
    "Mapping[str, str]": Mapping,
}


def _typed(made: T) -> T:
    """What was made, if its plain fields hold what they are declared to: JSON may hold anything. Raises ValueError."""
    for f in fields(made):
        kind, value = _KINDS.get(str(f.type)), getattr(made, f.name)
        if kind and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ValueError(f"{f.name} is {value!r}")
    return made
