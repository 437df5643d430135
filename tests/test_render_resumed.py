"""A render that was interrupted goes on: nothing is decoded twice, and the pack is the same."""

import dataclasses
from pathlib import Path

import pytest
from plans import LONG, contents, run

from nsynth_instrument import render
from nsynth_instrument.bundle import Bundle
from nsynth_instrument.codes import Morph
from nsynth_instrument.errors import NsynthError
from nsynth_instrument.notes import NoteGrid
from nsynth_instrument.pack import SamplePack


def test_an_interrupted_render_goes_on(model: Bundle, tmp_path: Path) -> None:
    run(LONG, tmp_path / "whole")
    folder = tmp_path / "broken"
    steps = render.render(LONG, folder)
    while next(steps).done == 0:
        pass
    steps.close()  # type: ignore[attr-defined]
    kept = {p: p.stat().st_mtime_ns for p in folder.rglob("*.npz")}
    assert kept
    assert not (folder / "pack.json").exists()
    seen = []
    for step in render.render(LONG, folder):
        seen.append(step)
        if step.stage == "decode":
            assert kept.items() <= {p: p.stat().st_mtime_ns for p in folder.rglob("*.npz")}.items(), "no note is decoded twice"
    assert seen[0].done > 0
    assert contents(folder) == contents(tmp_path / "whole")


def test_interrupted_while_writing_it_decodes_nothing_again(model: Bundle, tmp_path: Path) -> None:
    steps = render.render(LONG, tmp_path)
    while next(steps).stage != "write":
        pass
    steps.close()  # type: ignore[attr-defined]
    again = run(LONG, tmp_path)
    assert again[0].done == again[0].of == len(LONG.grid)
    assert SamplePack.load(tmp_path).zones
    assert not (tmp_path / render.WORK).exists()


def test_a_spoilt_block_is_made_again(model: Bundle, tmp_path: Path) -> None:
    steps = render.render(LONG, tmp_path)
    while next(steps).stage != "write":
        pass
    steps.close()  # type: ignore[attr-defined]
    block = next(tmp_path.rglob("*.npz"))
    block.write_bytes(block.read_bytes()[:1000])
    assert run(LONG, tmp_path)[0].done < len(LONG.grid)
    assert SamplePack.load(tmp_path).zones


def test_an_interrupted_morph_goes_on(model: Bundle, tmp_path: Path) -> None:
    plan = dataclasses.replace(
        LONG, grid=NoteGrid(tuple(range(50, 60)), (100,)), steps=2, morph=Morph.corners("flute", "bass", "piano", "pizzicato", 0.5, 0.5)
    )
    run(plan, tmp_path / "whole")
    assert SamplePack.load(tmp_path / "whole").positions == ((0, 0), (1, 0), (0, 1), (1, 1))
    steps = render.render(plan, tmp_path / "broken")
    while next(steps).done == 0:
        pass
    steps.close()  # type: ignore[attr-defined]
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "broken").rglob("*.npz")}
    assert kept
    again = run(plan, tmp_path / "broken")
    assert 0 < again[0].done <= plan.count == again[0].of
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")
    with pytest.raises(NsynthError, match="its steps differs"):
        run(dataclasses.replace(plan, steps=3), tmp_path / "broken")
