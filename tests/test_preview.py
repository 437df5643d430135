"""What a pack shows of itself: a phrase that our own engine plays on it, and a cover."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import packs
import pytest
import soundfile
from PIL import Image
from players import amplitude, level, tone_hz

from nsynth_instrument.errors import DataError
from nsynth_instrument.live.phrase import write_preview
from nsynth_instrument.preview.cover import SIDE, write_cover

TWO = ((0.0,), (1.0,))
CORNERS = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))


@pytest.mark.parametrize(("rate", "bits"), [(48000, 24), (96000, 16)])
def test_the_phrase_sounds_throughout_and_is_the_same_each_time(tmp_path: Path, rate: int, bits: int) -> None:
    packs.make(tmp_path, rate=rate, bits=bits)
    data = write_preview(tmp_path).read_bytes()
    assert write_preview(tmp_path).read_bytes() == data
    x, found = soundfile.read(tmp_path / "preview.mp3")
    assert (found, x.ndim) == (48000, 1)
    assert 8.0 < len(x) / found < 12.0 and len(data) < 200_000
    assert 0.8 < np.abs(x).max() <= 1.0
    assert min(level(x[i : i + 24000]) for i in range(0, 8 * 48000, 24000)) > -40


def test_a_morph_is_heard_from_one_end_to_the_other(tmp_path: Path) -> None:
    """The first low note holds the mark of the first position, the last chord that of the last."""
    packs.make(tmp_path, positions=TWO)
    x, _ = soundfile.read(write_preview(tmp_path))
    first, last = (48, x[4800:19200]), (55, x[round(7.6 * 48000) : round(8.4 * 48000)])
    marks = [[amplitude(part, tone_hz(key, packs.PLACE_MARK + k)) for k in range(2)] for key, part in (first, last)]
    assert marks[0][0] > 4 * marks[0][1]
    assert marks[1][1] > 4 * marks[1][0]


@pytest.mark.parametrize("positions", [((0.0,),), TWO, CORNERS])
def test_the_cover_shows_the_notes_side_by_side(tmp_path: Path, positions: tuple[tuple[float, ...], ...]) -> None:
    packs.make(tmp_path, positions=positions)
    with Image.open(write_cover(tmp_path)) as seen:
        shown = np.asarray(seen)
    assert shown.shape == (SIDE, SIDE, 3)
    across, down = {1: (3, 1), 2: (2, 1), 4: (2, 2)}[len(positions)]
    wide, tall = SIDE // across, SIDE // down
    cells = [shown[tall * r : tall * (r + 1), wide * c : wide * (c + 1)].astype(int) for r in range(down) for c in range(across)]
    for i, a in enumerate(cells):
        assert a.max() > 150, "a partial is bright"
        assert (a[:, -wide // 2 :] == 0).mean() > 0.5, "and dark once the note of 1.2 s has ended"
        assert all(np.abs(a - b).mean() > 0.2 for b in cells[:i])


def test_a_pack_without_notes_is_one_sentence(tmp_path: Path) -> None:
    pack = packs.make(tmp_path)
    dataclasses.replace(pack, zones=()).save(tmp_path)
    with pytest.raises(DataError, match="holds no note"):
        write_cover(tmp_path)
    dataclasses.replace(pack, positions=((0.0,), (1.0,))).save(tmp_path)
    assert write_cover(tmp_path).exists()
