"""Formats: names, layers, and what holds for all of them; sound by players made elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import packs
import pytest
from packs import TWO
from players import Fluid, Sfizz, Spessa, cents_off, held, level

from nsynth_instrument.errors import DataError, UnknownName
from nsynth_instrument.notes import Note
from nsynth_instrument.pack import Loop, SamplePack, Zone
from nsynth_instrument.writers import FORMATS, parse_formats, write_formats, writer
from nsynth_instrument.writers.layers import axes, fade, layers_alike, velocity_fades
from nsynth_instrument.writers.names import safe, sample_file
from nsynth_instrument.writers.parallel import ordered
from nsynth_instrument.writers.wav import write_wav


def test_names_carry_the_midi_number_first() -> None:
    assert sample_file("Flute-Bass", Note(60, 64)) == "Samples/Flute-Bass_060_C4_v064.wav"
    assert sample_file("Flûte & Bass", Note(61, 5), position=1, positions=3) == "Samples/Flute-Bass_p2_061_C#4_v005.wav"
    assert safe("日本") == "Pack"
    assert all(re.fullmatch(r"Samples/[A-Za-z0-9_#-]+\.wav", sample_file("a b/c", Note(k))) for k in range(128))


def test_formats_are_parsed_in_the_tables_order() -> None:
    assert parse_formats("sf2, WAV") == ("wav", "sf2")
    assert parse_formats("all") == tuple(FORMATS)
    with pytest.raises(UnknownName, match="did you mean sfz"):
        parse_formats("sfzz")


def test_formats_are_imported_only_when_asked() -> None:
    code = "import sys, nsynth_instrument.writers as w; w.parse_formats('all'); print([m for m in sys.modules if 'ers.' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_positions_must_be_a_full_grid(tmp_path: Path) -> None:
    pack = SamplePack("a", "a", 48000, 24, (), positions=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    with pytest.raises(DataError, match="no full grid"):
        axes(pack)


def test_fades_meet() -> None:
    assert fade(0.5, (0.0, 0.5, 1.0)).rise == (0.0, 0.5)
    zones = [Zone("", 60, v, 0, 127, low, high, 9) for v, low, high in ((25, 1, 37), (50, 38, 62), (75, 63, 127))]
    wide, narrow = (velocity_fades(zones, alike=alike) for alike in (True, False))
    assert (wide[60, 50].rise, wide[60, 50].fall) == ((25, 50), (50, 75))
    assert (narrow[60, 50].rise, narrow[60, 50].fall) == ((32, 43), (57, 68))
    assert narrow[60, 25].rise is None and narrow[60, 75].fall is None


@pytest.mark.parametrize("turn", [0.0, 1.6])
def test_layers_are_told_alike_by_their_phases(tmp_path: Path, turn: float) -> None:
    t = np.arange(24000) / 48000
    zones = []
    for k, velocity in enumerate((50, 100)):
        x = (velocity / 200) * np.sin(2 * np.pi * 440 * t + turn * k)
        write_wav(tmp_path / f"{velocity}.wav", x.astype(np.float32), 48000, bits=16, root=69)
        zones.append(Zone(f"{velocity}.wav", 69, velocity, 0, 127, 1 + 75 * k, 75 + 52 * k, 24000))
    assert layers_alike(SamplePack("a", "a", 48000, 16, tuple(zones)), tmp_path) == (not turn)


def test_work_in_order_keeps_few_waiting() -> None:
    begun: list[int] = []
    results = ordered(lambda i: begun.append(i) or i, range(100), threads=2)
    assert next(results) == 0
    assert len(begun) <= 6
    assert list(results) == list(range(1, 100))


def test_after_a_failure_nothing_more_begins() -> None:
    begun: list[int] = []

    def one(i: int) -> None:
        begun.append(i)
        if i == 0:
            raise ZeroDivisionError
        time.sleep(0.05)

    with pytest.raises(ZeroDivisionError):
        list(ordered(one, range(40), threads=2))
    assert len(begun) < 6


@pytest.fixture
def short(tmp_path: Path) -> SamplePack:
    """One zone of 480 Hz at 48 kHz that loops 100 frames from 24000 on."""
    x = (0.5 * np.sin(2 * np.pi * 480 * np.arange(24400) / 48000)).astype(np.float32)
    loop = Loop(24000, 24099)
    done = write_wav(tmp_path / "Samples/a.wav", x, 48000, bits=24, root=71, loop=loop)
    zone = Zone("Samples/a.wav", 71, 100, 0, 127, 1, 127, done.frames, loop=loop)
    return SamplePack("Short", "Short", 48000, 24, (zone,))


@pytest.mark.parametrize(
    ("name", "player"),
    [("sfz", Sfizz), ("flac", Sfizz), ("sf2", Fluid), ("sf2-16", Fluid), ("sf3", Fluid), ("sf2", Spessa), ("sf3", Spessa)],
)
def test_no_player_is_one_frame_off(short: SamplePack, tmp_path: Path, name: str, player: type[Sfizz | Fluid | Spessa]) -> None:
    seg = player(writer(name)(short, tmp_path)).play(held(71, 100, seconds=4.0), 4.0)[48000:-4800]
    assert level(seg) > -22
    assert abs(cents_off(seg, 480.0)) < 0.05


@pytest.mark.parametrize("name", ["sfz", "sf2"])
def test_a_note_let_go_falls_by_sixty_decibels_in_the_release(tmp_path: Path, name: str) -> None:
    path = writer(name)(packs.make(tmp_path, release=0.6), tmp_path)
    x = (Sfizz(path) if name == "sfz" else Fluid(path)).play(held(60, 127, seconds=1.5), 2.4)
    now = level(x[40000:70000])
    for seconds in (0.2, 0.4, 0.6):
        at = round((1.5 + seconds) * 48000)
        assert level(x[at : at + 960]) - now == pytest.approx(-100 * seconds, abs=3.0)


def test_every_format_is_written_with_progress_and_the_same_twice(tmp_path: Path) -> None:
    pack = packs.make(tmp_path, positions=TWO, bits=32)
    runs = []
    for _ in range(2):
        steps = list(write_formats(pack, tmp_path, tuple(FORMATS)))
        paths = {s.format: s.path for s in steps if s.path is not None}
        assert list(paths) == list(FORMATS)
        assert all(p.exists() for p in paths.values())
        assert [s.done for s in steps if s.format == "sf3"][:3] == [1, 2, 3]
        runs.append({k: p.read_bytes() for k, p in paths.items() if p.is_file()})
    assert runs[0] == runs[1]
    assert not list(tmp_path.rglob("*.part"))


def test_notes_without_loops_are_said_to_have_none(tmp_path: Path) -> None:
    pack = packs.make(tmp_path, looped=False)
    text = writer("sfz")(pack, tmp_path).read_text()
    assert text.count("loop_mode=no_loop") == 9 and "loop_start" not in text
    seg = Fluid(writer("sf2")(pack, tmp_path)).play(held(60, 127, seconds=3.0), 3.0)
    assert level(seg[4800:40000]) > -30 and level(seg[96000:]) < -90
    root = ET.parse(writer("decentsampler")(pack, tmp_path)).getroot()
    assert {s.get("loopEnabled") for s in root.iter("sample")} == {"false"}


def test_a_file_that_does_not_fit_the_pack_is_refused(tmp_path: Path) -> None:
    pack = packs.make(tmp_path)
    write_wav(tmp_path / pack.zones[4].file, np.zeros(100, np.float32), 48000, bits=24, root=60)
    for name in ("sf2", "sf3", "flac"):
        with pytest.raises(DataError, match="render the pack again"):
            writer(name)(pack, tmp_path)
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.glob("*.sf*"))
