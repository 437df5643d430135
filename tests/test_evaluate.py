"""The paper's table and the ways between instruments: judges that hear what is there, and tables that say so."""

import csv
from pathlib import Path

import nsynthset
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tones import tone

torch = pytest.importorskip("torch")

from nsynth_instrument.bundle import Bundle  # noqa: E402
from nsynth_instrument.cli import cli  # noqa: E402
from nsynth_instrument.errors import BundleError, DataError  # noqa: E402
from nsynth_instrument.evaluate import interpolation, judges  # noqa: E402
from nsynth_instrument.evaluate.commands import common  # noqa: E402
from nsynth_instrument.evaluate.interpolation import Path as Way  # noqa: E402
from nsynth_instrument.evaluate.report import Table, write  # noqa: E402
from nsynth_instrument.instruments import read_bank  # noqa: E402
from nsynth_instrument.nets import crepe  # noqa: E402


@pytest.fixture(scope="module")
def detectors() -> list[judges.PitchJudge]:
    found, missing = judges.pitch_judges()
    assert not missing, "the tests need both: scripts/test installs them"
    return found


def test_both_detectors_hear_a_tone_s_pitch_and_none_in_silence(detectors: list[judges.PitchJudge]) -> None:
    assert [d.name for d in detectors] == ["swift-f0", "CREPE"]
    for judge in detectors:
        for pitch in (45, 57.2, 69, 81):
            assert judge.pitch(tone(pitch, hold=3.0, rate=judges.RATE)) == pytest.approx(pitch, abs=0.2), judge.name
        assert np.isnan(judge.pitch(np.zeros(4 * judges.RATE, np.float32)))


def test_other_weights_than_the_known_ones_are_not_unpickled(tmp_path: Path) -> None:
    (tmp_path / "full.pth").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(DataError, match="not the CREPE model"):
        crepe.load(tmp_path / "full.pth")


def test_another_network_is_no_judge(model: Bundle) -> None:
    with pytest.raises(BundleError, match="of kind harmonic, not a classifier"):
        judges.ClassifierJudge(model.folder)


def test_the_commonest_answer_is_counted_quality_by_quality() -> None:
    assert common([(0, 1), (0, 1), (1, 1), (0, 0)]) == pytest.approx(75.0)


def test_the_table_judges_the_original_and_the_model(model: Bundle, tmp_path: Path) -> None:
    data = nsynthset.make(tmp_path / "set", splits={"train": [("flute_a", 2)], "test": [("organ_b", 6), ("guitar_c", 3)]}, pitches=range(45, 81, 6))
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["evaluate", "harmonic", "--data", str(data), "--notes", "6", "--out", str(out)])
    assert done.exit_code == 0, done.output
    with (out / "table.csv").open() as f:
        rows = {r["sound"]: r for r in csv.DictReader(f)}
    published = [name for name in rows if name.endswith("(published)")]
    assert [rows[n]["pitch %"] for n in published] == ["91.6", "79.6", "73.9"]
    assert all("NSynth test set" in rows[n]["measured on"] for n in published)
    original, made = rows["original"], rows["harmonic"]
    assert original["measured on"] == "set, held out, 6 notes"
    assert original["LSD dB"] == ""
    assert float(original["cents off"]) == pytest.approx(7, abs=0.5), "as the set is tuned"
    assert float(original["swift-f0 %"].split()[0]) == 100
    assert float(original["pitch %"]) > 60
    assert float(made["cents off"]) < 2
    assert float(made["LSD dB"].split()[0]) > 5, "the network is random"
    assert (out / "table.md").read_text().startswith("## Pitch and quality")
    with Image.open(out / "table.png") as seen:
        assert seen.size[0] > 600
    nothing = CliRunner().invoke(cli, ["evaluate", "harmonic", "--data", str(data), "--split", "valid"])
    assert nothing.exit_code != 0
    assert "--split" in str(nothing.exception)


def test_a_straight_even_way_a_leap_and_a_way_back() -> None:
    a, b = np.zeros(3), np.array([3.0, 0, 4.0])
    even = Way.of(np.array([(1 - m) * a + m * b for m in (0, 0.25, 0.5, 0.75, 1)]))
    assert even.monotone
    assert even.largest == pytest.approx(1)
    assert even.detour == pytest.approx(1)
    leap = Way.of(np.array([(1 - m) * a + m * b for m in (0, 0.01, 0.02, 0.98, 1)]))
    assert leap.monotone
    assert leap.largest == pytest.approx(4 * 0.96)
    back = Way.of(np.array([(1 - m) * a + m * b for m in (0, 0.6, 0.4, 0.8, 1)]))
    assert not back.monotone
    assert back.detour == pytest.approx(1.4)


def test_pairs_are_drawn_by_the_seed_and_share_their_keys(model: Bundle) -> None:
    bank = list(read_bank(model))
    drawn = interpolation.pairs(bank, 4, 0)
    assert len(drawn) == 4
    assert len({(a.name, b.name) for a, b, _ in drawn}) == 4
    assert {a.name for a, _, _ in drawn} | {b.name for _, b, _ in drawn} == {i.name for i in bank}
    assert drawn[0][2].pitch == (24 + 96) // 2
    assert [p[0].name for p in drawn] == [p[0].name for p in interpolation.pairs(bank, 4, 0)]


def test_interpolate_sets_codes_beside_plain_mixing(model: Bundle, tmp_path: Path) -> None:
    data = nsynthset.make(tmp_path / "set", splits={"test": [("organ_b", 6)]}, pitches=range(60, 61))
    out = tmp_path / "out"
    done = CliRunner().invoke(cli, ["evaluate", "harmonic", "--data", str(data), "--interpolate", "--pairs", "2", "--out", str(out)])
    assert done.exit_code == 0, done.output
    with (out / "interpolation-harmonic.csv").open() as f:
        rows = {r["what"]: r for r in csv.DictReader(f)}
    assert rows["MFCC: pairs whose way is monotone"]["by plain mixing"].endswith("of 2")
    assert float(rows["cents off at the middles, median"]["by codes"]) < 2
    assert float(rows["MFCC: largest step over the mean, mean (1 is even, 4 a leap)"]["by codes"]) >= 1
    assert "halfway, two by any of these" in rows


def test_a_table_is_the_same_in_every_form(tmp_path: Path) -> None:
    table = Table("Title", ("a", "b"), (("1", "x, y"), ("22", "")), ("A note.",))
    paths = write(table, tmp_path, "t")
    assert [p.suffix for p in paths] == [".csv", ".md", ".png"]
    assert paths[0].read_text() == 'a,b\n1,"x, y"\n22,\n'
    assert paths[1].read_text() == "## Title\n\n| a | b |\n| --- | --- |\n| 1 | x, y |\n| 22 |  |\n\n- A note.\n"
    assert "22" in table.text()
