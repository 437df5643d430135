"""The constant-Q transform, and the pictures made of it."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tones import save, tone

from nsynth_instrument.cli import cli
from nsynth_instrument.dsp.cqt import cqt, frequencies
from nsynth_instrument.dsp.rainbow import DEPTH, HOP, LOW, PER_OCTAVE, RATE, ROWS, rainbowgram
from nsynth_instrument.picture import beside, larger, png

SHAPE = {"hop": 256, "low": 65.0, "bins": 120, "per_octave": 24}


def sine(f: float, seconds: float = 2.0) -> np.ndarray:
    return np.sin(2 * np.pi * f * np.arange(round(seconds * RATE)) / RATE).astype(np.float32)


def test_a_row_is_the_windowed_sum_over_the_sound() -> None:
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, 2 * RATE).astype(np.float32)
    out = cqt(sound, RATE, **SHAPE)
    for row, frame in ((20, 60), (70, 31), (119, 100)):
        f = frequencies(65.0, 120, 24)[row]
        length = RATE / (f * (2 ** (1 / 24) - 1))
        t = np.arange(len(sound)) - frame * 256
        window = np.where(np.abs(t) <= length / 2, 0.5 + 0.5 * np.cos(2 * np.pi * t / length), 0)
        # Phases count from the sound's start, so that they advance from frame to frame as the frequency has it.
        direct = 2 * np.sum(sound * window * np.exp(-2j * np.pi * f * t / RATE)) / window.sum()
        assert abs(out[row, frame] - direct) < 0.02 * np.abs(out[row]).max()


@pytest.mark.parametrize("row", [0, 37, 90])
def test_a_sine_has_its_amplitude_on_its_row_and_little_elsewhere(row: int) -> None:
    out = np.abs(cqt(0.3 * sine(frequencies(65.0, 120, 24)[row]), RATE, **SHAPE))
    middle = out[:, out.shape[1] // 2]
    assert middle[row] == pytest.approx(0.3, rel=0.01)
    assert int(np.argmax(middle)) == row
    far = np.abs(np.arange(120) - row) > 12
    assert middle[far].max() < 0.3e-2


def test_a_row_above_half_the_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="half the rate"):
        cqt(sine(440), RATE, hop=256, low=65.0, bins=200, per_octave=24)


def test_the_picture_is_bright_where_the_sound_is_and_has_one_colour_where_it_is_still() -> None:
    row = 120
    steady = rainbowgram(0.1 * sine(frequencies(LOW, ROWS, PER_OCTAVE)[row], 4.0))
    assert steady.shape == (ROWS, 4 * RATE // HOP, 3)
    line = steady[ROWS - 1 - row, 60:190].astype(int)
    assert line.max(axis=1).min() > 200
    assert np.ptp(line, axis=0).max() <= 4, "a steady partial has one colour"
    assert steady[20, 100].max() == 0, "nothing sounds there"
    t = np.arange(4 * RATE) / RATE
    bent = np.sin(2 * np.pi * 300 * t + 4 * np.sin(2 * np.pi * 5 * t)).astype(np.float32)
    moving = rainbowgram(bent)
    where = int(np.argmax(moving[:, 60:190].sum(axis=(1, 2))))
    assert np.ptp(moving[where, 60:190].astype(int), axis=0).max() > 40, "vibrato shimmers"


def test_louder_by_half_the_depth_is_brighter_by_half() -> None:
    quiet = 10 ** (-DEPTH / 40)
    both = np.concatenate([sine(440.0), np.float32(quiet) * sine(440.0)])
    picture = rainbowgram(both)
    row = int(np.argmax(picture[:, 60].sum(axis=1)))
    assert picture[row, 190].max() / picture[row, 60].max() == pytest.approx(0.5, abs=0.03)


def test_silence_is_black() -> None:
    assert not rainbowgram(np.zeros(RATE, np.float32)).any()


def test_png_is_what_another_reader_sees(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    (tmp_path / "x.png").write_bytes(png(rgb))
    with Image.open(tmp_path / "x.png") as seen:
        assert (np.asarray(seen.convert("RGB")) == rgb).all()


def test_pictures_lie_row_by_row() -> None:
    three = [np.full((4, 5, 3), v, np.uint8) for v in (10, 20, 30)]
    out = beside(three, 2, gap=1)
    assert out.shape == (9, 11, 3)
    assert (out[0, 0, 0], out[0, 6, 0], out[5, 0, 0], out[5, 6, 0], out[4, 0, 0]) == (10, 20, 30, 255, 255)
    assert larger(out, 3).shape == (27, 33, 3)


def test_the_command_writes_a_picture_of_several_files(tmp_path: Path) -> None:
    files = [save(tmp_path / f"{p}.wav", tone(p, hold=1.0)) for p in (50, 62, 74)]
    out = tmp_path / "rainbow.png"
    done = CliRunner().invoke(cli, ["rainbowgram", *map(str, files), "--out", str(out), "--columns", "2", "--seconds", "1", "--scale", "1"])
    assert done.exit_code == 0, done.output
    with Image.open(out) as seen:
        assert seen.size == (2 * 63 + 6, 2 * ROWS + 6)
    missing = CliRunner().invoke(cli, ["rainbowgram", str(tmp_path / "no.wav"), "--out", str(out)])
    assert missing.exit_code != 0
