"""A whole keyboard, 88 keys x 5 velocities, each cell played by samplers that no one here wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from packs import whole_loop
from players import RATE, Fluid, Sfizz, Spessa, cents_off, level

from nsynth_instrument.codes import Morph
from nsynth_instrument.notes import KEYBOARD, NoteGrid, hz
from nsynth_instrument.pack import SamplePack, Zone
from nsynth_instrument.preset import RenderPlan
from nsynth_instrument.render import render
from nsynth_instrument.writers import writer
from nsynth_instrument.writers.names import sample_file
from nsynth_instrument.writers.wav import write_wav

START = 4800
"""Frame at which loops begin."""


@pytest.fixture(scope="module")
def keyboard(tmp_path_factory: pytest.TempPathFactory) -> tuple[SamplePack, Path]:
    """Sines, each layer 3 dB over the softer one; every loop has whole periods, and nothing but silence follows it."""
    folder, zones = tmp_path_factory.mktemp("keyboard"), []
    for area in KEYBOARD.zones():
        note, loop = area.note, whole_loop(area.note.pitch, RATE, start=START)
        tune = np.rint(len(range(loop.start, loop.end + 1)) * note.hz / RATE) * RATE / (loop.end + 1 - loop.start)
        x = np.zeros(loop.end + 1 + RATE // 10, np.float32)
        soft = 3.0 * (4 - KEYBOARD.velocities.index(note.velocity))
        x[: loop.end + 1] = 0.5 * 10 ** (-soft / 20) * np.sin(2 * np.pi * tune * np.arange(loop.end + 1) / RATE)
        ranges = (area.low_key, area.high_key, area.low_velocity, area.high_velocity)
        file = sample_file("Keyboard", note)
        done = write_wav(folder / file, x, RATE, bits=24, root=note.pitch, loop=loop)
        zones.append(Zone(file, note.pitch, note.velocity, *ranges, done.frames, loop=loop, peak=done.peak, sha256=done.sha256))
    return SamplePack("Keyboard", "Keyboard", RATE, 24, tuple(zones), release=0.05), folder


@pytest.mark.parametrize(
    ("name", "player"), [("sfz", Sfizz), ("flac", Sfizz), ("sf2", Fluid), ("sf2-16", Fluid), ("sf2", Spessa), ("sf3", Spessa)]
)
def test_every_cell_of_88_by_5_is_in_tune_and_louder_by_velocity(
    keyboard: tuple[SamplePack, Path], name: str, player: type[Sfizz | Fluid | Spessa]
) -> None:
    pack, folder = keyboard
    seconds = {p: 1.4 if p < 45 else 0.9 for p in KEYBOARD.pitches}
    starts, events, at = {}, [], 0.0
    for note in KEYBOARD:
        starts[note] = round(at * RATE)
        events += [(at, "on", note.pitch, note.velocity), (at + seconds[note.pitch], "off", note.pitch, 0)]
        at += seconds[note.pitch] + 0.2
    played = player(writer(name)(pack, folder)).play(events, at)
    cents, levels = {}, {}
    for note, start in starts.items():
        # From the middle of the first turn of the loop into the second or third.
        part = played[start + round(0.3 * RATE) : start + round((seconds[note.pitch] - 0.02) * RATE)].astype(np.float64)
        cents[note], levels[note] = cents_off(part, hz(note.pitch)), level(part)
    assert max(abs(c) for c in cents.values()) < 2.0
    rises = np.diff([[levels[n] for n in starts if n.pitch == p] for p in KEYBOARD.pitches], axis=1)
    assert rises.min() > 2.0, "each velocity is louder than the softer one"
    assert rises.max() < 4.0, "by what the samples are, and no more"


PLACES = (0, 16, 32, 48, 64, 80, 95, 111, 127)
"""Of the mod wheel: five positions, and halfway between neighbours."""
LENGTH = 5.0
"""s for which a note is held: longer than it was rendered, so that it loops."""


@pytest.fixture(scope="module")
def morph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flute to violin in five positions, by the shipped model."""
    folder = tmp_path_factory.mktemp("morph")
    plan = RenderPlan("way", Morph.between("flute", "violin", 0.5), NoteGrid((60, 90), (100,)), steps=5, formats=("sfz", "sf2"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NSYNTH_INSTRUMENT_HOME", str(folder / "home"))
        for _ in render(plan, folder / "pack"):
            pass
    return folder / "pack"


@pytest.mark.parametrize(("name", "player"), [("way.sfz", Sfizz), ("way.sf2", Fluid)])
@pytest.mark.parametrize("key", [60, 90])
def test_the_wheel_keeps_the_level_of_a_real_morph(morph: Path, name: str, player: type[Sfizz | Fluid], key: int) -> None:
    """Over any 0.5 s, as loud as between the two positions; out of step, they were up to 8 dB softer at key 90."""
    events, starts = [], [0.1 + (LENGTH + 1) * i for i in range(len(PLACES))]
    for at, cc in zip(starts, PLACES, strict=True):
        events += [(at - 0.05, "cc", 1, cc), (at, "on", key, 100), (at + LENGTH, "off", key, 0)]
    played = player(morph / name).play(events, starts[-1] + LENGTH)
    half = RATE // 2
    windows = [[round((at + 0.1) * RATE) + half * i for i in range(9)] for at in starts]
    power = np.array([[np.mean(np.square(played[w : w + half], dtype=np.float64)) for w in some] for some in windows])
    line = (power[:-2:2] + power[2::2]) / 2
    assert np.abs(10 * np.log10(power[1::2] / line)).max() < 1.2
