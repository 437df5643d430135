"""Decoders that are not told the pitch: the nearest known key answers, moved, and the pack says so; notes of one length only."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import nsynthset  # noqa: E402
from conftest import instrument  # noqa: E402
from safetensors.numpy import save  # noqa: E402

from nsynth_instrument import bundle, finishing, repitch  # noqa: E402
from nsynth_instrument import render as rendering  # noqa: E402
from nsynth_instrument.bank import Instrument, InstrumentBank  # noqa: E402
from nsynth_instrument.bundle import Bundle  # noqa: E402
from nsynth_instrument.codes import Morph  # noqa: E402
from nsynth_instrument.errors import UsageError  # noqa: E402
from nsynth_instrument.nets.spectral_config import NFFT_1024  # noqa: E402
from nsynth_instrument.nets.wavenet import WaveNet  # noqa: E402
from nsynth_instrument.nets.wavenet_config import WaveNetConfig  # noqa: E402
from nsynth_instrument.notes import Note, NoteGrid, hz  # noqa: E402
from nsynth_instrument.preset import RenderPlan  # noqa: E402
from nsynth_instrument.trajectories import stretch  # noqa: E402

TINY = WaveNetConfig(encoder_width=4, encoder_layers=1, encoder_stages=1, width=4, skip=4, layers=2, stages=2, kernel=2)


def keys(*pitches: int, name: str = "a") -> Instrument:
    known = instrument(name)
    some = np.arange(len(pitches))
    return replace(known, pitches=np.array(pitches, np.int16), velocities=np.full(len(pitches), 100, np.int16), codes=known.codes[some])


def test_the_nearest_known_key_answers_alone() -> None:
    bank = repitch.as_recorded(InstrumentBank.of([keys(50, 60)]))
    for pitch, row in ((40, 0), (55, 0), (56, 1), (99, 1)):
        assert bank["a"].around(Note(pitch, 100)) == ((row, 1.0),)
    assert len(keys(50, 60).around(Note(55, 100))) == 2


@pytest.mark.parametrize(
    ("others", "pitch", "shift"),
    [
        ((), 57, 5),  # 52 and 62 are equally far: the lower
        ((), 58, -4),
        ((40, 64), 56, -6),  # 62 is two semitones from one that the other has, and nearer than 64
        ((52, 70), 60, 8),  # 52 both have
        ((62,), 30, -32),
    ],
)
def test_sounds_agree_on_a_key(others: tuple[int, ...], pitch: int, shift: int) -> None:
    sounds = [keys(52, 62), *([keys(*others, name="b")] if others else [])]
    assert repitch.shift(sounds, pitch) == shift


def test_codes_run_slower_as_the_sound_is_played_faster() -> None:
    codes = np.linspace(0, 1, 50, dtype=np.float32)[:, None].repeat(16, axis=1)
    assert repitch.slowed(codes, 0) is codes
    up = repitch.slowed(codes, 12)
    assert up.shape == (100, 16)
    np.testing.assert_allclose(up[:, 3], np.linspace(0, 1, 100), atol=1e-6)
    assert repitch.slowed(codes, -12).shape == (25, 16)
    assert repitch.slowed(codes[:1], 7).shape == (1, 16)


@pytest.fixture
def blind(tmp_path: Path) -> Bundle:
    """A tiny WaveNet that is not told the pitch, and an instrument known at two keys."""
    torch.manual_seed(0)
    weights = {k: v.numpy() for k, v in WaveNet(TINY).state_dict().items()}
    bank = InstrumentBank.of([keys(50, 62)])
    return bundle.write(
        tmp_path / "blind", {"weights.safetensors": save(weights), "bank.safetensors": bank.to_bytes()}, name="blind", kind="wavenet",
        rate=16000, hop=512, dims=16, licence="MIT", sources=("none",), network=TINY.to_dict(), training={},
    )  # fmt: skip


def test_a_pack_of_such_a_decoder_says_what_was_moved(blind: Bundle, tmp_path: Path) -> None:
    plan = RenderPlan("p", Morph.of({"a": 1.0}), NoteGrid((50, 53, 62), (100,)), model=str(blind.folder), seconds=1.5, loops=False)
    for _ in rendering.render(plan, tmp_path / "pack", runtime="torch", threads=1):
        pass
    rows = list(csv.DictReader((tmp_path / "pack" / "report.csv").read_text().splitlines()))
    assert [(r["key"], r["repitched"]) for r in rows] == [("50", "0"), ("53", "3"), ("62", "0")]
    assert "1 repitched from the nearest known key, by up to 3 semitones" in (tmp_path / "pack" / "README.txt").read_text()


def test_evaluate_hears_such_a_decoder_as_a_pack_has_it(blind: Bundle) -> None:
    from nsynth_instrument.audio import resample
    from nsynth_instrument.evaluate import playing
    from nsynth_instrument.runtimes import open_codec

    codec, bank = open_codec(blind, "torch", device="cpu"), InstrumentBank.of([keys(50, 62)])
    known, moved = playing.mixes(codec, bank, [(Morph.of({"a": 1.0}), Note(n)) for n in (50, 53)])
    codes = stretch(bank["a"].codes[0], 125)

    def assert_alike(a: np.ndarray, b: np.ndarray) -> None:
        """But where noise lies on an edge: there torch may draw neighbouring classes of two notes at once and of one."""
        assert a.shape == b.shape
        assert (np.abs(a - b) < 1e-3).mean() > 0.99

    assert_alike(known, codec.decode([codes], [Note(50)])[0])
    played = codec.decode([repitch.slowed(codes, 3)], [Note(53)])[0]
    assert_alike(moved, resample(played, 16000 * repitch.factor(3), 16000))
    assert abs(len(moved) - len(known)) < 512
    assert_alike(playing.from_one(codec, [bank["a"]], [Note(53)])[0], moved)


def test_evaluate_asks_for_instruments_to_go_between(blind: Bundle, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from nsynth_instrument.cli import cli

    data = nsynthset.make(tmp_path / "set", splits={"test": [("organ_b", 6)]}, pitches=range(60, 61))
    order = ["evaluate", str(blind.folder), "--data", str(data), "--interpolate", "--runtime", "torch"]
    with pytest.raises(UsageError, match="no two instruments .* nsynth-instrument bank blind"):
        CliRunner().invoke(cli, order, catch_exceptions=False)


def test_a_moved_tone_is_in_tune_and_in_time() -> None:
    from nsynth_instrument.dsp.pitch import cents_off

    plan = RenderPlan("p", Morph.of({"a": 1.0}), NoteGrid((60,), (100,)), seconds=2.0, rate=48000, loops=False)
    for shift in (-7, 0, 5):
        seconds = 2.0 * repitch.factor(shift)
        made = np.sin(2 * np.pi * hz(60 - shift) * np.arange(round(16000 * seconds)) / 16000).astype(np.float32)
        sound, _ = next(finishing.finished(plan, Note(60), [made], 16000, [shift]))
        assert len(sound) == 96000
        assert abs(cents_off(sound, 48000, 60)) < 0.5
        assert np.abs(sound[80000:90000]).max() > 0.9


def test_a_model_of_one_length_refuses_longer_notes(tmp_path: Path) -> None:
    from nsynth_instrument.nets.spectral import Published

    weights = {k: np.ascontiguousarray(v.numpy()) for k, v in Published().state_dict().items()}
    model = bundle.write(
        tmp_path / "z", {"weights.safetensors": save(weights), "bank.safetensors": InstrumentBank.of([keys(50)]).to_bytes()}, name="z",
        kind="spectral", rate=16000, hop=512, dims=16, licence="MIT", sources=("none",), network=NFFT_1024.to_dict(), training={},
    )  # fmt: skip
    plan = RenderPlan("p", Morph.of({"a": 1.0}), NoteGrid((50,), (100,)), model=str(model.folder), seconds=4.5)
    with pytest.raises(UsageError, match="notes of 4 s and no others; use --seconds 4 or less"):
        next(iter(rendering.render(plan, tmp_path / "pack")))
