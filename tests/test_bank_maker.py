"""The bank that is shipped: its table, and instruments of a soundfont as a model's codes."""

from pathlib import Path

import numpy as np
import pytest

from nsynth_instrument.bundle import Bundle, read
from nsynth_instrument.cli import cli
from nsynth_instrument.dataset.example import FAMILIES, SOURCES
from nsynth_instrument.dsp.loudness import NOMINAL, by_velocity, loudest
from nsynth_instrument.errors import DataError
from nsynth_instrument.instruments import read_bank
from nsynth_instrument.notes import Note
from nsynth_instrument.runtimes import open_codec
from nsynth_instrument.training import bank
from tests.conftest import small_bundle
from tests.soundfonts import write_small

TABLE = """
soundfont = "small.sf2"
licence = "CC0"
step = 12
velocities = [50, 100]
[instruments]
lead = { title = "Lead", program = 80, keys = [48, 72] }
high = { title = "High", program = 80, keys = [48, 60], transpose = 12, family = "organ" }
"""


def table(folder: Path, text: str = TABLE) -> Path:
    path = folder / "table.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def soundfont(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("fluidsynth")
    return write_small(tmp_path_factory.mktemp("sf") / "small.sf2")


def test_the_shipped_table_has_the_instruments_that_people_ask_for() -> None:
    entries = {e.name: e for e in bank.read_table()}
    assert len(entries) >= 32
    asked = "flute piccolo clarinet oboe sax trumpet horn violin cello choir piano organ guitar bass harp sitar koto saw pad"
    assert set(asked.split()) <= entries.keys()
    for e in entries.values():
        assert e.name.islower() and e.name.isalpha()
        assert e.family in FAMILIES and e.source in SOURCES
        assert e.grid.velocities == (25, 75, 127)
        assert 20 <= e.grid.pitches[0] < e.grid.pitches[-1] <= 108
        assert e.key(Note(e.grid.pitches[-1])).pitch < 128
    assert (entries["flute"].grid.pitches[0], entries["bass"].grid.pitches[0]) == (60, 28)
    assert entries["piano"].grid.pitches[-1] == 105


@pytest.mark.parametrize(
    "wrong", ["x", "[instruments]\nlead = {}", TABLE.replace("organ", "kazoo"), TABLE.replace("[48, 72]", "[72, 48]"), ""]
)
def test_a_table_that_says_what_cannot_be_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(DataError, match="table of instruments"):
        bank.read_table(table(tmp_path, wrong))


def test_notes_are_equally_loud_and_keep_their_dynamics(tmp_path: Path, soundfont: Path) -> None:
    lead, high = bank.read_table(table(tmp_path))
    with bank.Player(soundfont) as player:
        notes, sounds = bank.render(player, lead)
        transposed, upper = bank.render(player, high)
    assert notes == list(lead.grid) and transposed == list(high.grid)
    middle = [loudest(a) for n, a in zip(notes, sounds, strict=True) if n.velocity == 100]
    assert np.median(middle) == pytest.approx(NOMINAL, abs=0.05)
    soft = loudest(sounds[0]) - loudest(sounds[1])
    assert soft == pytest.approx(by_velocity(50), abs=1.5)
    at = [np.argmax(np.abs(np.fft.rfft(a[4800:100800]))) * 0.5 for a in (sounds[0], upper[0])]
    assert at == pytest.approx([Note(48).hz, Note(60).hz], abs=1)


def test_a_model_is_given_its_instruments_by_the_command(
    model: Bundle, tmp_path: Path, soundfont: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = small_bundle(tmp_path / "models", name="mine")
    before = dict(mine.files)
    args = ["bank", str(mine.folder), "--soundfont", str(soundfont), "--table", str(table(tmp_path)), "--threads", "1"]
    cli.main(args, standalone_mode=False)
    out = capsys.readouterr()
    assert out.out.strip() == str(mine.folder)
    assert "2 of 2: high, 4 notes" in out.err
    after = read(mine.folder)
    assert after.files["weights.safetensors"] == before["weights.safetensors"]
    assert after.files[bank.BANK] != before[bank.BANK]
    found = read_bank(after)
    assert list(found.instruments) == ["lead", "high"]
    assert (found["high"].family, found["lead"].family, found["lead"].licence) == ("organ", "synth_lead", "CC0")
    assert found["lead"].pitches.tolist() == [48, 48, 60, 60, 72, 72]
    assert found["lead"].codes.shape == (6, 125, 16)
    assert "CC0" in after.sources
    codec = open_codec(after, threads=1)
    assert len(codec.decode([found["lead"].at(Note(60))], [Note(60)])[0]) == 125 * 1536


def test_what_is_missing_or_silent_is_named(model: Bundle, tmp_path: Path, soundfont: Path) -> None:
    codec = open_codec(model, threads=1)
    entries = bank.read_table(table(tmp_path))
    with pytest.raises(DataError, match=r"lead comes from small.sf2; give its path"):
        list(bank.instruments(codec, [], entries))
    silent = bank.read_table(table(tmp_path, TABLE.replace("program = 80, keys = [48, 72]", "program = 73, keys = [60, 72]")))
    with pytest.raises(DataError, match="silent at bank 0, program 73"):
        list(bank.instruments(codec, [soundfont], silent))
    absent = bank.read_table(table(tmp_path, TABLE.replace("program = 80, keys = [48, 72]", "program = 9, keys = [60, 72]")))
    with pytest.raises(DataError, match="no preset at bank 0, program 9"):
        list(bank.instruments(codec, [soundfont], absent))
