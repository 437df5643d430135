"""What the tests of rendering render, and how they look at what comes of it."""

import csv
import dataclasses
from pathlib import Path

from nsynth_instrument import bundle, render
from nsynth_instrument.codes import Morph
from nsynth_instrument.notes import NoteGrid
from nsynth_instrument.preset import RenderPlan

PLAN = RenderPlan("Flute-Bass", Morph.between("flute", "bass", 0.5), NoteGrid((36, 60, 84), (50, 100)), seconds=3.0)
ONE = dataclasses.replace(PLAN, grid=NoteGrid((60,), (100,)))
LONG = dataclasses.replace(PLAN, name="many", grid=NoteGrid(tuple(range(40, 76)), (100,)), seconds=1.5, rate=16000, loops=False)
"""More notes than the codec decodes at once."""


def run(plan: RenderPlan, folder: Path, **options: object) -> list[render.Progress]:
    return list(render.render(plan, folder, **options))  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): bundle.sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def report(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "report.csv").read_text().splitlines()))
