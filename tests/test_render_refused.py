"""What cannot be rendered is refused with a sentence before anything is made."""

import dataclasses
import os
import shutil
import sys
from pathlib import Path

import pytest
from plans import PLAN, run

from nsynth_instrument.bundle import Bundle
from nsynth_instrument.codes import Morph
from nsynth_instrument.errors import BundleError, MissingExtra, NsynthError, UnknownName
from nsynth_instrument.instruments import find_instrument, read_bank
from nsynth_instrument.notes import NoteGrid


def test_unknown_sounds_and_models(model: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean flute"):
        run(dataclasses.replace(PLAN, morph=Morph.between("floot", "bass", 0.5)), tmp_path)
    with pytest.raises(UnknownName, match="model"):
        run(dataclasses.replace(PLAN, model="nothing"), tmp_path)
    assert not list(tmp_path.glob("*.wav"))


def test_a_damaged_model_is_found_before_anything_is_made(model: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ("weights.safetensors", "bank.safetensors"):
        home = tmp_path / file
        path = Path(shutil.copytree(model.folder, home / "models" / "harmonic")) / file
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        monkeypatch.setenv("NSYNTH_INSTRUMENT_HOME", str(home))
        with pytest.raises(BundleError, match="damaged"):
            run(PLAN, tmp_path / "out")
        assert not list(tmp_path.glob("out/*.wav"))


def test_a_folder_that_cannot_be_written(model: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NsynthError, match="cannot write in .*--out"):
        run(PLAN, tmp_path / "file" / "pack")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_refuses(model: Bundle, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(NsynthError, match="cannot write in .*--out"):
        run(PLAN, tmp_path / "pack")


def test_a_disk_without_room_is_said_at_once(model: Bundle, tmp_path: Path) -> None:
    huge = dataclasses.replace(PLAN, grid=NoteGrid(tuple(range(128)), tuple(range(1, 128))), seconds=30.0, rate=192000, bits=32)
    if shutil.disk_usage(tmp_path).free > 800e9:
        pytest.skip("this disk has room for everything")
    with pytest.raises(NsynthError, match=r"needs \d+\.\d GB .* are free; make room"):
        run(huge, tmp_path)


def test_instruments_by_name_case_and_beginning(model: Bundle) -> None:
    bank = read_bank(model)
    assert find_instrument(bank, "Flute").name == "flute"
    assert find_instrument(bank, "pia").name == "piano"
    for name in ("pi", "", "zzz"):
        with pytest.raises(UnknownName):
            find_instrument(bank, name)


def test_a_runtime_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the shipped model, which has the graphs."""
    monkeypatch.setenv("NSYNTH_INSTRUMENT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install 'nsynth-instrument\[cpu\]'"):
        run(PLAN, tmp_path / "pack", runtime="onnx")
    assert not any(tmp_path.rglob("*.wav"))


def test_two_onnx_runtimes_over_each_other_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSYNTH_INSTRUMENT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site" / "onnxruntime_gpu-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "onnxruntime_gpu-1.0.dist-info" / "METADATA").write_text("Name: onnxruntime-gpu\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(NsynthError, match="both installed.*pip uninstall"):
        run(PLAN, tmp_path / "pack", runtime="onnx")
