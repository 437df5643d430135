"""Notes, their names, grids, and zones that leave no key unanswered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsynth_instrument.errors import UsageError
from nsynth_instrument.notes import FULL, KEYBOARD, Note, NoteGrid, hz, key_name, midi

GRIDS = st.builds(
    lambda pitches, velocities: NoteGrid(tuple(sorted(pitches)), tuple(sorted(velocities))),
    st.sets(st.integers(0, 127), min_size=1),
    st.sets(st.integers(1, 127), min_size=1),
)


@given(GRIDS)
def test_zones_tile_the_keyboard_with_no_gap_and_no_overlap(grid: NoteGrid) -> None:
    answered = np.zeros((128, 128), int)
    for z in grid.zones():
        answered[z.low_key : z.high_key + 1, z.low_velocity : z.high_velocity + 1] += 1
    assert (answered[:, 1:] == 1).all()
    assert (answered[:, 0] == 0).all()


@given(GRIDS)
def test_every_zone_holds_its_own_note_and_no_nearer_one(grid: NoteGrid) -> None:
    zones = grid.zones()
    assert [z.note for z in zones] == list(grid)
    for z in zones:
        assert z.low_key <= z.note.pitch <= z.high_key
        assert z.low_velocity <= z.note.velocity <= z.high_velocity
        for key in (z.low_key, z.high_key):
            assert abs(key - z.note.pitch) == min(abs(key - p) for p in grid.pitches)


def test_a_tie_goes_to_the_lower_note() -> None:
    low, high = NoteGrid((60, 62), (100,)).zones()
    assert (low.low_key, low.high_key, high.low_key, high.high_key) == (0, 61, 62, 127)


@pytest.mark.parametrize(
    ("text", "pitches"),
    [
        ("keys", KEYBOARD.pitches),
        ("full", FULL.pitches),
        ("60", (60,)),
        ("21-24", (21, 22, 23, 24)),
        ("21-30/3", (21, 24, 27, 30)),
    ],
)
def test_parse_reads_what_the_help_says(text: str, pitches: tuple[int, ...]) -> None:
    assert NoteGrid.parse(text).pitches == pitches


@pytest.mark.parametrize(
    "text", ["", "all", "60-", "-60", "70-60", "0-128", "200", "21-108/0", "21-108/-1", "6O", "21,22", "1e2"]
)
def test_parse_refuses_impossible_grids(text: str) -> None:
    with pytest.raises(UsageError, match="grid"):
        NoteGrid.parse(text)


@pytest.mark.parametrize(
    ("pitches", "velocities"),
    [((), (64,)), ((60,), ()), ((60, 60), (64,)), ((61, 60), (64,)), ((128,), (64,)), ((60,), (0,)), ((-1,), (1,))],
)
def test_a_grid_refuses_what_is_no_grid(pitches: tuple[int, ...], velocities: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        NoteGrid(pitches, velocities)


@pytest.mark.parametrize(("pitch", "velocity"), [(-1, 64), (128, 64), (60, 0), (60, 128)])
def test_a_note_refuses_what_midi_cannot_say(pitch: int, velocity: int) -> None:
    with pytest.raises(UsageError):
        Note(pitch, velocity)


def test_names_and_frequencies() -> None:
    assert [key_name(p) for p in (0, 21, 60, 61, 69, 127)] == ["C-1", "A0", "C4", "C#4", "A4", "G9"]
    assert Note(69).hz == 440.0
    assert Note(60).hz == pytest.approx(261.6256, abs=1e-4)
    assert [midi(hz(p)) for p in range(128)] == pytest.approx(list(range(128)))
    assert len(KEYBOARD) == 440
    assert len(FULL) == 640


def test_noise_belongs_to_the_note_and_the_seed_alone() -> None:
    def draw(pitch: int, velocity: int, seed: int) -> tuple[float, ...]:
        return tuple(Note(pitch, velocity).rng(seed).random(3))

    assert draw(60, 100, 1) == draw(60, 100, 1)
    streams = {draw(p, v, s) for p in range(128) for v in (1, 64, 127) for s in (0, 1)}
    assert len(streams) == 128 * 3 * 2
