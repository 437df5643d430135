"""Packs as JSON, and JSON that is no pack."""

import json
from pathlib import Path
from typing import Any

import pytest

from nsynth_instrument.errors import DataError
from nsynth_instrument.pack import Loop, SamplePack, Zone

ZONE = Zone("Samples/a.wav", 60, 100, 0, 127, 1, 127, 1000, loop=Loop(10, 99), peak=0.5, sha256="ab")
PACK = SamplePack("a", "A", 48000, 24, (ZONE,), sources=("x",), plan={"seed": 0}, versions={"numpy": "2"})


def test_a_pack_comes_back(tmp_path: Path) -> None:
    assert PACK.save(tmp_path) == tmp_path / "pack.json"
    assert SamplePack.load(tmp_path) == PACK
    assert SamplePack.load(tmp_path / "pack.json") == PACK


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", "/etc/passwd"),
        ("file", "../x.wav"),
        ("root", 128),
        ("low_key", 61.5),
        ("low_key", -1),
        ("high_key", 128),
        ("low_velocity", 0),
        ("high_velocity", 128),
        ("frames", 0),
        ("loop", {"start": 10, "end": 1000}),
        ("loop", {"start": 10, "end": 10}),
        ("loop", {"start": -1, "end": 10}),
        ("loop", {"start": 1}),
        ("position", "x"),
        ("position", [float("nan")]),
        ("position", [2]),
        ("velocity", None),
        ("velocity", 128),
        ("file", 7),
        ("peak", "loud"),
        ("loop", {"start": 1.5, "end": 10}),
        ("file", "a\0b.wav"),
        ("position", [10**400]),
        ("position", [0.0, 0.0]),
    ],
)
def test_zones_that_cannot_be_are_refused(tmp_path: Path, key: str, value: Any) -> None:
    path = PACK.save(tmp_path)
    raw = json.loads(path.read_text())
    raw["zones"][0][key] = value
    if key == "low_key" and isinstance(value, float):
        raw["zones"][0]["high_key"] = 60
    path.write_text(json.dumps(raw))
    with pytest.raises(DataError, match="damaged"):
        SamplePack.load(tmp_path)


@pytest.mark.parametrize(
    "text",
    [pytest.param("[" * 100_000, id="deep"), "", "[]", "{}", "{", '{"format": 1}', '{"format": 2}',
     '{"format": 1, "zones": [], "positions": [], "sources": []}'],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pack.json").write_text(text)
    with pytest.raises(DataError):
        SamplePack.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"), [("rate", None), ("rate", 48000.5), ("release", "x"), ("title", []), ("plan", 1), ("bits", True),
     ("rate", 0), ("rate", 10**20), ("bits", -5000), ("release", -1), ("release", float("nan")), ("positions", []),
     ("positions", [[0.0], [0.0, 1.0]])],
)
def test_fields_of_the_wrong_kind_are_refused(tmp_path: Path, key: str, value: Any) -> None:
    path = PACK.save(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(DataError, match=f"damaged .{key} is"):
        SamplePack.load(tmp_path)


def test_a_folder_without_one_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nsynth-instrument render"):
        SamplePack.load(tmp_path)
    (tmp_path / ".work").mkdir()
    with pytest.raises(DataError, match="not finished; run the same command again"):
        SamplePack.load(tmp_path)
