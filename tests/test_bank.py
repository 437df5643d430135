"""Banks: codes between known notes, and files that come back as they went."""

from pathlib import Path

import numpy as np
import pytest
from conftest import instrument
from hypothesis import given
from hypothesis import strategies as st

from nsynth_instrument.bank import Instrument, InstrumentBank
from nsynth_instrument.errors import DataError, UnknownName
from nsynth_instrument.notes import Note

FLUTE = instrument("flute")
"""Knows pitches 24, 36, ..., 96 at velocities 50 and 100."""


@given(st.integers(0, 127), st.integers(1, 127))
def test_weights_sum_to_one_and_lie_around_the_note(pitch: int, velocity: int) -> None:
    around = FLUTE.around(Note(pitch, velocity))
    assert sum(w for _, w in around) == pytest.approx(1)
    assert all(0 < w <= 1 for _, w in around)
    mean = sum(w * FLUTE.pitches[i] for i, w in around)
    assert mean == pytest.approx(min(max(pitch, 24), 96))
    assert sum(w * FLUTE.velocities[i] for i, w in around) == pytest.approx(min(max(velocity, 50), 100))


def test_a_known_note_is_itself() -> None:
    for i, (p, v) in enumerate(zip(FLUTE.pitches, FLUTE.velocities, strict=True)):
        assert np.array_equal(FLUTE.at(Note(int(p), int(v))), FLUTE.codes[i])


def test_a_note_halfway_is_the_mean_of_four() -> None:
    corners = [FLUTE.at(Note(p, v)) for p in (36, 48) for v in (50, 100)]
    assert np.allclose(FLUTE.at(Note(42, 75)), np.mean(corners, axis=0), atol=1e-6)


def test_notes_in_no_grid_answer_too() -> None:
    some = Instrument(
        "x",
        "mallet",
        "acoustic",
        "X",
        "MIT",
        np.array([40, 60, 60], np.int16),
        np.array([100, 30, 90], np.int16),
        FLUTE.codes[:3],
    )
    assert some.around(Note(40, 1)) == ((0, 1.0),)
    assert some.around(Note(50, 60)) == ((0, 0.5), (1, 0.25), (2, 0.25))


@pytest.mark.parametrize(("notes", "shape"), [(0, (0, 125, 16)), (2, (3, 125, 16)), (2, (2, 125, 15)), (2, (2, 16))])
def test_a_malformed_instrument_is_refused(notes: int, shape: tuple[int, ...]) -> None:
    same = np.arange(notes, dtype=np.int16)
    with pytest.raises(DataError, match="malformed"):
        Instrument("x", "flute", "acoustic", "X", "MIT", same, same, np.zeros(shape, np.float32))


def test_a_bank_comes_back_within_a_half_step_of_eight_bits(tmp_path: Path) -> None:
    detail = {"level": np.arange(14, dtype=np.uint8), "f0": np.linspace(0, 1, 14)}
    with_detail = Instrument(**{**vars(instrument("bass", seed=2)), "detail": detail})
    path = tmp_path / "bank.safetensors"
    path.write_bytes(InstrumentBank.of([FLUTE, with_detail]).to_bytes())
    again = InstrumentBank.read(path)
    assert list(again.instruments) == ["flute", "bass"]
    for was, now in ((FLUTE, again["flute"]), (with_detail, again["bass"])):
        assert (now.name, now.family, now.source, now.title, now.licence) == (
            was.name,
            was.family,
            was.source,
            was.title,
            was.licence,
        )
        assert np.array_equal(now.pitches, was.pitches)
        assert np.array_equal(now.velocities, was.velocities)
        assert np.abs(now.codes - was.codes).max() <= 3 / 127 / 2 + 1e-6
    assert again["flute"].detail is None
    kept = again["bass"].detail
    assert kept is not None
    assert all(np.array_equal(kept[k], detail[k]) for k in detail)


def test_an_unknown_instrument_suggests_the_nearest() -> None:
    bank = InstrumentBank.of([FLUTE, instrument("bass")])
    with pytest.raises(UnknownName, match="no instrument is called 'flut'; did you mean flute"):
        bank["flut"]
    with pytest.raises(UnknownName, match="there are: bass, flute"):
        bank["zzzzzz"]


def test_a_file_that_is_no_bank_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bank.safetensors"
    good = InstrumentBank.of([FLUTE]).to_bytes()
    for data in (
        b"",
        b"hello",
        good[:100],
        good[:-1],
        good.replace(b"flute/codes", b"flute/kodes"),
        good.replace(b"flute/scale", b"flute/skale"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match="not a bank"):
            InstrumentBank.read(path)
    with pytest.raises(DataError):
        InstrumentBank.read(tmp_path / "none")
