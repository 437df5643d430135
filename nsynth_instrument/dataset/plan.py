"""What a build renders: which presets, under which names, into which split; a function of its options alone."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import DataError, UnknownName, UsageError
from ..notes import KEYBOARD, NoteGrid
from . import gm
from .example import FAMILIES
from .sf2 import Preset, presets

RATES = (16000, 48000)
"""Hz; NSynth's own, and the harmonic voice's."""


@dataclass(frozen=True)
class Job:
    """One instrument to render. number: NSynth's `instrument`; name: its `instrument_str`; rate: Hz."""

    soundfont: Path
    preset: Preset
    number: int
    name: str
    family: str
    source: str
    split: str
    grid: NoteGrid
    rate: int


@dataclass(frozen=True)
class BuildPlan:
    """Options of a build.

    soundfonts: files, no two of one name; grids: one for all, or one per soundfont; rate: Hz; valid, test: percent
    of the 128 programs; hold_out: what goes to test whatever its program (see `_fits`); only: what is rendered
    (nothing = all); drums, effects: whether kits and sound effects are in; seed: which programs go to which split.
    """

    soundfonts: tuple[Path, ...]
    grids: tuple[NoteGrid, ...] = (KEYBOARD,)
    rate: int = 16000
    valid: int = 5
    test: int = 5
    hold_out: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    drums: bool = False
    effects: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rate not in RATES:
            raise UsageError(f"a set has a rate of 16000 or 48000 Hz, not {self.rate}")
        if not self.soundfonts:
            raise UsageError("a build needs a soundfont: --soundfont FILE.sf2")
        if len({p.name for p in self.soundfonts}) < len(self.soundfonts):
            raise UsageError("two soundfonts have the same file name; give each once, or rename one")
        if len(self.grids) not in (1, len(self.soundfonts)):
            raise UsageError("give --pitches and --velocities once for all, or once for each --soundfont")
        if min(self.valid, self.test) < 0 or self.valid + self.test > 90:
            raise UsageError(f"a split of {self.valid} % valid and {self.test} % test leaves too little to train on")

    def described(self) -> dict[str, Any]:
        """The options as plain JSON values; soundfonts by name and sha256. Two builds with equal ones are equal."""
        options = asdict(self)
        options["soundfonts"] = {p.name: _sha256(p) for p in self.soundfonts}
        options["grids"] = [{"pitches": list(g.pitches), "velocities": list(g.velocities)} for g in self.grids]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}

    def jobs(self) -> tuple[Job, ...]:
        """The instruments in the order of rendering.

        Names count per family and source over all presets, soundfont by soundfont (drums and effects last), so that
        neither `only` nor a soundfont added at the end renames an instrument. The order mixes families and
        soundfonts, so that a part of a build is already a varied set. Presets named "... Expr." are left out: they
        are twins that are silent until a breath controller moves. Raises DataError, UnknownName.
        """
        grids = self.grids if len(self.grids) > 1 else self.grids * len(self.soundfonts)
        listed = [(path, grid, p) for path, grid in zip(self.soundfonts, grids, strict=True) for p in presets(path)]
        listed = [item for item in listed if not item[2].name.endswith("Expr.")]
        listed.sort(key=lambda item: not gm.is_melodic(item[2].bank, item[2].program))  # stable: the rest stays
        ranks, counts, jobs = _ranks(self.seed), dict[str, int](), list[Job]()
        for number, (path, grid, preset) in enumerate(listed):
            family, source = gm.family_and_source(preset.bank, preset.program)
            stem = f"{family}_{source}"
            name = f"{stem}_{counts.get(stem, 0):03d}"
            counts[stem] = counts.get(stem, 0) + 1
            job = Job(path, preset, number, name, family, source, "", grid, self.rate)
            jobs.append(replace(job, split=self._split(job, ranks)))
        wanted = [j for j in jobs if self._wanted(j)]
        for item in (*self.only, *self.hold_out):
            if not any(_fits(item, j) for j in jobs):
                raise UnknownName("family or preset", item, {*FAMILIES, *(j.preset.name for j in jobs)})
        if not wanted:
            raise DataError("no preset is left to render; drop --instruments, or ask for --drums or --effects")
        fonts = {p: i for i, p in enumerate(self.soundfonts)}
        return tuple(sorted(wanted, key=lambda j: (j.preset.bank, _mixed(j.preset.program), fonts[j.soundfont])))

    def _wanted(self, job: Job) -> bool:
        if job.preset.bank == gm.DRUMS:
            allowed = self.drums
        else:
            allowed = self.effects or gm.is_melodic(job.preset.bank, job.preset.program)
        return allowed and (not self.only or any(_fits(item, job) for item in self.only))

    def _split(self, job: Job, ranks: dict[int, int]) -> str:
        """By program, not preset: soundfonts share samples among banks and with each other, and a test must be unheard."""
        if any(_fits(item, job) for item in self.hold_out):
            return "test"
        place = ranks[job.preset.program]
        test, valid = (round(len(ranks) * percent / 100) for percent in (self.test, self.valid))
        return "test" if place < test else "valid" if place < test + valid else "train"


def _fits(item: str, job: Job) -> bool:
    """Whether `flute` (a family), `string_acoustic_003`, `40` or `40-47` (programs) or `*piano*` (preset names) means it."""
    if m := re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", item):
        return int(m[1]) <= job.preset.program <= int(m[2] or m[1])
    return item in (job.family, job.name) or fnmatch.fnmatchcase(job.preset.name.lower(), item.lower())


def _ranks(seed: int) -> dict[int, int]:
    """A shuffle of the 128 programs by hash: the same in every Python, and for any soundfont."""
    order = sorted(range(128), key=lambda p: hashlib.sha256(f"{seed}:{p}".encode()).digest())
    return {program: place for place, program in enumerate(order)}


def _mixed(program: int) -> int:
    """The 7 bits reversed: 0, 64, 32, 96 ... come first, and far programs are of other families."""
    return int(f"{program:07b}"[::-1], 2)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as e:
        raise DataError(f"cannot read the soundfont {path} ({e.strerror}); check the path") from e
