"""Models on disk: found, verified, written whole, and refused in words when they are not what was exported."""

import shutil
from pathlib import Path

import pytest
from conftest import small_bundle

from nsynth_instrument import bundle
from nsynth_instrument.bundle import Bundle
from nsynth_instrument.errors import BundleError, UnknownName


@pytest.fixture
def copy(model: Bundle, tmp_path: Path) -> Path:
    """The model's folder, to be damaged."""
    return Path(shutil.copytree(model.folder, tmp_path / "copy"))


def test_read_gives_back_what_was_written(model: Bundle) -> None:
    again = bundle.read(model.folder)
    assert again == model
    assert (again.kind, again.rate, again.hop, again.dims, again.licence) == ("harmonic", 48000, 1536, 16, "MIT")
    assert again.has("bank.safetensors")
    assert again.path("bank.safetensors").is_file()


def test_the_user_s_model_comes_before_the_shipped_one(model: Bundle) -> None:
    assert bundle.find("harmonic").folder == model.folder
    assert bundle.find(str(model.folder)).folder == model.folder
    assert [b.folder for b in bundle.installed() if b.name == "harmonic"] == [model.folder]


@pytest.mark.parametrize("name", ["harmonik", "../harmonic", "/", ""])
def test_an_unknown_model_is_named_with_a_hint(model: Bundle, name: str) -> None:
    with pytest.raises(UnknownName, match="no model is called"):
        bundle.find(name)
    with pytest.raises(UnknownName, match="did you mean harmonic"):
        bundle.find("harmonik")


@pytest.mark.parametrize("at", [0, 1000, -1])
def test_one_flipped_bit_is_found(copy: Path, at: int) -> None:
    path = copy / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="is damaged.*install or export it again"):
        bundle.read(copy).path("weights.safetensors")


def test_a_missing_file_is_found(copy: Path) -> None:
    (copy / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match="incomplete"):
        bundle.read(copy).path("weights.safetensors")
    with pytest.raises(BundleError, match="has no decoder.onnx"):
        bundle.read(copy).path("decoder.onnx")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('kind = "harmonic"', 'kind = "magic"'),
        ("rate = 48000", "rate = 3"),
        ("rate = 48000", 'rate = "fast"'),
        ("hop = 1536", "hop = 0"),
        ("hop = 1536", "hop = inf"),
        pytest.param("hop = 1536", "hop = " + "1" * 5000, id="long"),
        pytest.param("hop = 1536", "hop = " + "[" * 100_000, id="deep"),
        ("format = 1", "format = 99"),
        ("format = 1", ""),
        ("[files]", "[other]"),
        ('"weights.safetensors"', '"../weights.safetensors"'),
        ('licence = "MIT"', ""),
        ("name = ", "name = ="),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(copy: Path, old: str, new: str) -> None:
    manifest = copy / bundle.MANIFEST
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    with pytest.raises(BundleError):
        bundle.read(copy)


def test_a_damaged_model_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSYNTH_INSTRUMENT_HOME", str(tmp_path))
    broken = tmp_path / "models" / "broken"
    broken.mkdir(parents=True)
    (broken / bundle.MANIFEST).write_text("nonsense")
    told: list[str] = []
    assert "wavenet" in [b.name for b in bundle.installed(told.append)]
    assert len(told) == 1
    assert "broken" in told[0]
    with pytest.raises(UnknownName, match="did you mean harmonic"):
        bundle.find("harmonik")
    with pytest.raises(BundleError, match="broken"):
        bundle.find("broken")


def test_no_manifest_or_no_text(copy: Path) -> None:
    (copy / bundle.MANIFEST).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="cannot be read"):
        bundle.read(copy)
    (copy / bundle.MANIFEST).unlink()
    with pytest.raises(BundleError, match="is not a model"):
        bundle.read(copy)


def test_fingerprint_follows_the_files_and_nothing_else(model: Bundle, tmp_path: Path) -> None:
    same, other = small_bundle(tmp_path / "a"), small_bundle(tmp_path / "b", seed=1)
    assert same.fingerprint == model.fingerprint
    assert other.fingerprint != model.fingerprint


def test_writing_again_replaces_the_folder_whole(tmp_path: Path) -> None:
    first = small_bundle(tmp_path)
    (first.folder / "stray").write_text("")
    second = small_bundle(tmp_path, seed=1)
    assert second.folder == first.folder
    assert not (second.folder / "stray").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["harmonic"]
    assert second.path("weights.safetensors").is_file()


def test_only_a_model_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "one.wav").write_bytes(b"mine")
    rest = {"name": "m", "kind": "harmonic", "rate": 48000, "hop": 1536, "dims": 16, "licence": "MIT", "sources": (), "network": {}, "training": {}}
    for place in ("songs", "songs/one.wav"):
        with pytest.raises(BundleError, match="something that is no model"):
            bundle.write(tmp_path / place, {"f": b"1"}, **rest)  # type: ignore[arg-type]
    assert (tmp_path / "songs" / "one.wav").read_bytes() == b"mine"
    (tmp_path / "empty").mkdir()
    assert bundle.write(tmp_path / "empty", {"f": b"1"}, **rest).has("f")  # type: ignore[arg-type]


def test_a_source_is_named_once_however_its_words_are_ordered() -> None:
    named = ("FluidR3 GM (Frank Wen), MIT", "Another, MIT", "MIT (FluidR3 GM, Frank Wen)")
    assert bundle.distinct(named) == named[:2]
