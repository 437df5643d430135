"""What to render: a plan, its TOML, and the presets that are shipped."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from .bundle import DEFAULT
from .codes import WEIGHTINGS, Morph
from .errors import DataError, NsynthError, UnknownName, UsageError
from .notes import VELOCITIES, NoteGrid
from .pack import BITS
from .places import Position, places

SECONDS = (1.5, 30.0)
"""s; a note is held until 1 s before its end, as in NSynth."""
RATES = (8000, 192000)
"""Hz."""
HOTTEST = 2.0
INTERPOLATIONS = ("linear", "spherical")
"""Between codes: along the straight line between them, or along the arc around their origin."""


@dataclass(frozen=True)
class RenderPlan:
    """Everything that decides how a pack sounds, and its name.

    name: of the pack and its folder; model: name of a bundle; morph: what is mixed; grid: which notes; seconds: length of
    each; rate: Hz of the WAV files; bits: 16, 24 or 32 (float); seed, temperature: of what the decoder samples;
    loops: whether held notes get a loop; interpolation: of codes, of `INTERPOLATIONS`; formats: of `writers.FORMATS`; steps:
    positions along each axis of the morph, whose two or four sounds are then the ends, whatever their weights; weighting: of
    `codes.WEIGHTINGS`, in a square of steps.
    """

    name: str
    morph: Morph
    grid: NoteGrid
    model: str = DEFAULT
    seconds: float = 4.0
    rate: int = 48000
    bits: int = 24
    seed: int = 0
    temperature: float = 1.0
    loops: bool = True
    interpolation: str = "linear"
    formats: tuple[str, ...] = ("sfz",)
    steps: int = 1
    weighting: str = "bilinear"

    def __post_init__(self) -> None:
        name = self.name
        if not name or Path(name).name != name or name.startswith(".") or "\\" in name or not name.isprintable():
            raise UsageError(f"a pack cannot be called {self.name!r}; its name becomes a folder: use letters, digits and dashes")
        if not SECONDS[0] <= self.seconds <= SECONDS[1]:
            raise UsageError(f"notes of {self.seconds:g} s are not made; use {SECONDS[0]:g} to {SECONDS[1]:g} s")
        if not RATES[0] <= self.rate <= RATES[1]:
            raise UsageError(f"a rate of {self.rate} Hz is not made; use {RATES[0]} to {RATES[1]} Hz, best 44100 or 48000")
        if self.bits not in BITS:
            raise UsageError(f"{self.bits}-bit files are not made; use 16, 24 or 32 (float)")
        if not 0 <= self.temperature <= HOTTEST:
            raise UsageError(f"temperature {self.temperature:g} is out of range; use 0 (smooth) to {HOTTEST:g}, 1 is natural")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed} is out of range; use a whole number from 0 to {2**32 - 1}")
        if self.interpolation not in INTERPOLATIONS:
            raise UsageError(f"there is no interpolation {self.interpolation!r}; use {' or '.join(INTERPOLATIONS)}")
        if not self.formats:
            raise UsageError("a pack needs a format; sfz is one")
        if self.weighting not in WEIGHTINGS:
            raise UsageError(f"there is no weighting {self.weighting!r}; use {' or '.join(WEIGHTINGS)}")
        if self.steps > 1 and self.morph.course:
            raise UsageError("steps are positions, and this morph moves over each note; give it weights that stay, or no steps")
        places(self.morph, self.steps, self.weighting)

    @property
    def places(self) -> tuple[tuple[Position, Morph], ...]:
        """The positions of the pack, and what is mixed at each; see `places.places`."""
        return places(self.morph, self.steps, self.weighting)

    @property
    def count(self) -> int:
        """Notes of the pack, at all positions."""
        return len(self.grid) * len(self.places)

    def fingerprint(self, bundle: str) -> str:
        """Hex digest over all that changes the files' sound; `bundle` is the model's own fingerprint.

        The order of sounds, the name and the formats change nothing.
        """
        mixed: list[Any] = [sorted((n, c) for n, c in m.courses.items() if any(c)) for _, m in self.places]
        # Since positions are in step they sound otherwise than they did: a render that was begun before starts anew.
        weights = [*mixed, "in step"] if self.steps > 1 else mixed[0]
        sound = [float(self.seconds), self.rate, self.bits, self.seed, float(self.temperature), self.loops, self.interpolation]
        heard = [bundle, weights, self.grid.pitches, self.grid.velocities, *sound]
        return hashlib.sha256(json.dumps(heard).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """As plain data; `from_dict` gives an equal plan back."""
        return {
            "name": self.name,
            "model": self.model,
            "seconds": self.seconds,
            "rate": self.rate,
            "bits": self.bits,
            "seed": self.seed,
            "temperature": self.temperature,
            "loops": self.loops,
            "interpolation": self.interpolation,
            "formats": list(self.formats),
            "steps": self.steps,
            "weighting": self.weighting,
            "morph": {n: c[0] if len(c) == 1 else list(c) for n, c in self.morph.courses.items()},
            "grid": {"keys": _keys_text(self.grid.pitches), "velocities": list(self.grid.velocities)},
        }

    def to_toml(self) -> str:
        """As the text of a preset."""
        return tomli_w.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], *, name: str = "", where: str = "the plan") -> RenderPlan:
        """A plan of plain data; only `morph` must be there. `name` stands in for a missing one, `where` is for messages.

        Weights of a morph count in proportion: flute = 1, bass = 3 is a quarter flute; lists move: flute = [1, 0]. Raises
        DataError for a key that is unknown, a value of the wrong type, or one that is out of range.
        """
        try:
            values = _checked(raw, _TYPES, where)
            weights = _checked(values.pop("morph", {}), None, f"{where}, [morph]")
            grid = _checked(values.pop("grid", {}), {"keys": (str, list), "velocities": list}, f"{where}, [grid]")
            formats = values.pop("formats", ["sfz"])
            if not all(isinstance(f, str) for f in formats):
                raise UsageError("formats are names in quotes")
            values.setdefault("name", name)
            return cls(
                morph=_morph(weights), grid=_grid(grid.get("keys", "keys"), grid.get("velocities", VELOCITIES)),
                formats=tuple(dict.fromkeys(formats)), **values,
            )  # fmt: skip
        except DataError:
            raise
        except UsageError as e:
            raise DataError(f"{where}: {e}") from e
        except OverflowError as e:
            raise DataError(f"{where} has a number that is too large ({e})") from e

    @classmethod
    def from_toml(cls, text: str, *, name: str = "", where: str = "the plan") -> RenderPlan:
        """A plan of TOML text; see `from_dict`. Raises DataError also for text that is not TOML."""
        try:
            raw = tomllib.loads(text)
        except (ValueError, RecursionError) as e:  # beside TOML's own errors those of numbers and of nests without end
            raise DataError(f"{where} is not TOML: {e}") from e
        return cls.from_dict(raw, name=name, where=where)


_TYPES: dict[str, type | tuple[type, ...]] = {
    "name": str, "model": str, "seconds": (int, float), "rate": int, "bits": int, "seed": int, "temperature": (int, float),
    "loops": bool, "interpolation": str, "formats": list, "steps": int, "weighting": str, "morph": dict, "grid": dict,
}  # fmt: skip


def _checked(raw: object, types: Mapping[str, type | tuple[type, ...]] | None, where: str) -> dict[str, Any]:
    """A table whose keys are known and whose values have the right type; without `types`, numbers and lists by any name."""
    if not isinstance(raw, Mapping):
        raise DataError(f"{where} is not a table")
    for key, value in raw.items():
        if types is not None and key not in types:
            close = difflib.get_close_matches(key, types, n=1)
            hint = f"did you mean {close[0]}?" if close else "there are: " + ", ".join(types)
            raise DataError(f"{where} has no setting {key!r}; {hint}")
        wanted = types[key] if types is not None else (int, float, list)
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise DataError(f"{where}: {key} cannot be {value!r}")
    return dict(raw)


def _morph(weights: Mapping[str, float | list[Any]]) -> Morph:
    for name, w in weights.items():
        for value in w if isinstance(w, list) else [w]:
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise UsageError(f"[morph] {name} has a weight {value!r}, which is no number")
    counts = {len(w) for w in weights.values() if isinstance(w, list)}
    points = max(counts, default=1)
    if 0 in counts or len(counts - {1}) > 1:
        raise UsageError("[morph] has lists of different lengths; those that move have the same number of weights")
    rows = [[float(w[i % len(w)] if isinstance(w, list) else w) for w in weights.values()] for i in range(points)]
    totals = [sum(row) for row in rows]
    if not all(row and 0 < t < float("inf") and min(row) >= 0 for row, t in zip(rows, totals, strict=True)):
        raise UsageError("[morph] names at least one sound with its weight, none negative: flute = 0.5, or flute = [1, 0]")
    scaled = [[w if abs(t - 1) < 1e-9 else w / t for w in row] for row, t in zip(rows, totals, strict=True)]
    return Morph.of(dict(zip(weights, zip(*scaled, strict=True), strict=True)))


def _grid(keys: str | list[Any], velocities: Sequence[Any]) -> NoteGrid:
    listed = [] if isinstance(keys, str) else keys
    for value in [*velocities, *listed]:
        if not isinstance(value, int) or isinstance(value, bool):
            raise UsageError(f"keys and velocities are whole numbers, not {value!r}")
    if isinstance(keys, str):
        return NoteGrid.parse(keys, velocities)
    return NoteGrid(tuple(keys), tuple(sorted(set(velocities))))


def _keys_text(pitches: tuple[int, ...]) -> str | list[int]:
    """Pitches as `NoteGrid.parse` reads them, or as a list if they are no plain range."""
    low, high = pitches[0], pitches[-1]
    step = pitches[1] - low if len(pitches) > 1 else 1
    if pitches != tuple(range(low, high + 1, step)):
        return list(pitches)
    return f"{low}" if low == high else f"{low}-{high}" + (f"/{step}" if step > 1 else "")


def shipped() -> dict[str, Path]:
    """The presets that came with the program, by name: files of the installed package, or of a clone's `presets/`."""
    here = Path(__file__).parent
    folder = next((f for f in (here / "presets", here.parent / "presets") if f.is_dir()), here)
    return {p.stem: p for p in sorted(folder.glob("*.toml"))}


def load(name: str) -> RenderPlan:
    """The shipped preset called `name`, or the one in the file `name`.

    Raises UnknownName when there is neither, DataError when it does not say what it must.
    """
    path = shipped().get(name) or Path(name)
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as e:
        raise DataError(f"{path} is not a preset: it is not text") from e
    except FileNotFoundError as e:
        if path.suffix == ".toml":
            raise NsynthError(f"there is no file {path}; `nsynth-instrument list` names the presets") from e
        raise UnknownName("preset", name, shipped()) from e
    except OSError as e:
        raise NsynthError(f"{path} cannot be read ({e.strerror})") from e
    return RenderPlan.from_toml(text, name=path.stem, where=str(path))
