"""Packs in the formats of samplers: a format is one file here and one line in FORMATS."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UnknownName
from ..pack import SamplePack

Writer = Callable[[SamplePack, Path], Path]
"""Writes one format into the pack's folder, from the WAV files that its zones name; returns what it wrote."""

Steps = Generator[tuple[int, int], None, Path]
"""A slow writer: yields (done, of) as it goes and returns its path."""


@dataclass(frozen=True)
class Format:
    """module: of this package, with `write`, and `steps` if it is slow; label: for people; checked: by what, besides tests."""

    module: str
    label: str
    checked: str


UNHEARD = "descriptions only, no such player was at hand"
FORMATS: dict[str, Format] = {
    "wav": Format("wav", "WAV files with root key, range and loop", "libsndfile"),
    "sfz": Format("sfz", "SFZ over the WAV files", "sfizz"),
    "flac": Format("flac", "SFZ over FLAC files", "sfizz"),
    "decentsampler": Format("decentsampler", "DecentSampler preset over the WAV files", "the developers' guide"),
    "dslibrary": Format("dslibrary", "DecentSampler library in one file", "the developers' guide"),
    "multisample": Format("multisample", "Bitwig Studio and Studio One", "Bitwig's XML schema"),
    "sf2": Format("sf2", "SoundFont 2, 24 bit (16 if the pack is)", "FluidSynth, SpessaSynth"),
    "sf2-16": Format("sf2_16", "SoundFont 2, 16 bit", "FluidSynth, SpessaSynth"),
    "sf3": Format("sf3", "SoundFont 3, Vorbis", "FluidSynth, SpessaSynth"),
    "adv": Format("adv", "Ableton Live Sampler preset", UNHEARD),
    "xpm": Format("xpm", "Akai MPC keygroup program", UNHEARD),
}


@dataclass(frozen=True)
class Progress:
    """One step of writing: `done` of `of` in `format`; `path` once that format is written."""

    format: str
    done: int
    of: int
    path: Path | None = None


def parse_formats(text: str) -> tuple[str, ...]:
    """Read `wav,sfz` or `all`: names of FORMATS in the table's order, each once. Raises UnknownName."""
    asked = {name.strip().lower() for name in text.split(",") if name.strip()}
    if "all" in asked:
        return tuple(FORMATS)
    for name in asked - set(FORMATS):
        raise UnknownName("format", name, [*FORMATS, "all"])
    return tuple(name for name in FORMATS if name in asked)


def unheard(formats: Sequence[str]) -> list[str]:
    """Those of the formats that no player has played here."""
    return [name for name in formats if FORMATS[name].checked == UNHEARD]


def writer(name: str) -> Writer:
    """The writer of a format by name; its module is imported only now. Raises UnknownName."""
    if name not in FORMATS:
        raise UnknownName("format", name, FORMATS)
    return importlib.import_module(f".{FORMATS[name].module}", __name__).write  # type: ignore[no-any-return]


def write_formats(pack: SamplePack, folder: Path, formats: Sequence[str]) -> Iterator[Progress]:
    """Write each of `formats` into the pack's folder, whose WAV files are there; yields the progress."""
    for name in formats:
        write = writer(name)
        steps = getattr(importlib.import_module(f".{FORMATS[name].module}", __name__), "steps", None)
        if steps is None:
            yield Progress(name, 1, 1, write(pack, folder))
            continue
        going: Steps = steps(pack, folder)
        done, of = 0, 1
        while True:
            try:
                done, of = next(going)
                yield Progress(name, done, of)
            except StopIteration as end:
                yield Progress(name, of, of, end.value)
                break


def finish(steps: Steps) -> Path:
    """Run a slow writer to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            path: Path = end.value
            return path
