"""SFZ: by sfizz's ear, and by a validator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import packs
import pytest
from packs import CORNERS, THREE, TWO
from players import Sfizz, amplitude, cents_off, held, level, tone_hz

from nsynth_instrument.notes import hz
from nsynth_instrument.pack import SamplePack
from nsynth_instrument.writers import writer


@pytest.mark.parametrize("name", ["sfz", "flac"])
def test_sfizz_plays_every_cell_in_tune_and_louder_by_velocity(tmp_path: Path, name: str) -> None:
    pack = packs.make(tmp_path)
    player = Sfizz(writer(name)(pack, tmp_path))
    for key in (30, 60, 90):
        levels = []
        for layer, velocity in enumerate((20, 80, 127)):
            seg = player.play(held(key, velocity, seconds=2.0), 2.0)[20000:]
            assert abs(cents_off(seg, hz(key))) < 0.05  # half of it round the loop
            marks = [amplitude(seg, tone_hz(key, packs.LAYER_MARK + j)) for j in range(3)]
            assert int(np.argmax(marks)) == layer and sorted(marks)[1] < 0.01 * max(marks)
            levels.append(level(seg))
        assert levels[1] - levels[0] > 5 and levels[2] - levels[1] > 5


@pytest.mark.parametrize("positions", [TWO, THREE])
def test_the_mod_wheel_morphs_in_sfizz_at_equal_power_without_a_step(tmp_path: Path, positions: tuple[tuple[float], ...]) -> None:
    player = Sfizz(writer("sfz")(packs.make(tmp_path, positions=positions), tmp_path))
    full = None
    for cc in range(0, 128, 9):
        seg = player.play([(0.0, "cc", 1, cc), *held(60, 127, seconds=0.6)], 0.6)[9600:]
        g = np.array([amplitude(seg, tone_hz(60, packs.PLACE_MARK + k)) for k in range(len(positions))])
        full = full or g[0]
        assert abs(10 * np.log10(np.sum((g / full) ** 2))) < 0.1
    sweep = [(0.3 + cc / 127, "cc", 1, cc) for cc in range(128)]
    steps = np.abs(np.diff(player.play([*held(60, 127, seconds=2.0), *sweep], 1.8)[9600:]))
    still = np.abs(np.diff(player.play([(0.0, "cc", 1, 64), *held(60, 127, seconds=2.0)], 1.8)[9600:]))
    assert steps.max() < 1.6 * still.max()


def test_four_corners_answer_to_two_controllers_in_sfizz(tmp_path: Path) -> None:
    player = Sfizz(writer("sfz")(packs.make(tmp_path, positions=CORNERS), tmp_path))
    full = None
    for x, y in ((0, 0), (127, 0), (0, 127), (127, 127), (64, 64), (32, 100)):
        seg = player.play([(0.0, "cc", 1, x), (0.0, "cc", 2, y), *held(60, 127, seconds=0.6)], 0.6)[9600:]
        g = np.array([amplitude(seg, tone_hz(60, packs.PLACE_MARK + k)) for k in range(4)])
        full = full or g[0]
        a, b = x / 127, y / 127
        assert np.allclose((g / full) ** 2, [(1 - a) * (1 - b), a * (1 - b), (1 - a) * b, a * b], atol=0.02)


@pytest.mark.parametrize("positions", [((0.0,),), THREE, CORNERS])
def test_sfz_is_valid_for_sfzen_and_plays_on_after_the_loop(tmp_path: Path, positions: tuple[tuple[float, ...], ...]) -> None:
    path = writer("sfz")(packs.make(tmp_path, positions=positions), tmp_path)
    text, count = path.read_text("utf-8"), 9 * len(positions)
    assert text.count("<region>") == count and text.count("loop_mode=loop_sustain") == count and "amp_veltrack=0" in text
    done = subprocess.run([Path(sys.executable).with_name("sfz-validate"), path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_titles_cannot_write_sfz(tmp_path: Path) -> None:
    pack = packs.make(tmp_path)
    nasty = SamplePack(**{**pack.__dict__, "title": "x\n<region> sample=evil.wav", "positions": pack.positions})
    regions = [line for line in writer("sfz")(nasty, tmp_path).read_text().splitlines() if line.startswith("<region>")]
    assert len(regions) == 9
