"""The command line as a user meets it: results on stdout, talk on stderr, one sentence and no traceback for a mistake."""

import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import click
import pytest

from nsynth_instrument import cli
from nsynth_instrument.bundle import Bundle
from nsynth_instrument.pack import SamplePack
from nsynth_instrument.preset import shipped
from nsynth_instrument.writers.sums import read_sums

LIMIT = 600.0
"""s that a command may take on the busiest machine."""

SMALL = ("--grid", "48-60/12", "--velocities", "100", "--seconds", "1.5", "--rate", "16000", "--no-loops")
MANY = ("--grid", "24-119", "--velocities", "100", "--seconds", "1.5", "--rate", "16000", "--no-loops")
"""96 notes, three times what the codec decodes at once."""


def run(*args: str) -> int:
    """Exit code of the command, run here."""
    with pytest.raises(SystemExit) as end:
        cli.main(args)
    assert isinstance(end.value.code, int)
    return end.value.code


def start(*args: str, **options: object) -> "subprocess.Popen[str]":
    """The command in a process of its own, as a shell starts it."""
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "nsynth_instrument", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parent.parent)},
        **options,
    )


def wait_for(pattern: str, count: int, process: "subprocess.Popen[str]") -> None:
    """Until so many files of that pattern are in the current folder."""
    until = time.monotonic() + LIMIT
    while len(list(Path().glob(pattern))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from nsynth_instrument import cli\ntry: cli.main(['--help'])\nfinally: print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(cli.__file__).parent.parent
    ).stdout
    assert all(name in out for name in cli.COMMANDS)
    loaded = set(out.splitlines()[-1].split())
    assert not loaded & {
        "numpy",
        "scipy",
        "numba",
        "torch",
        "onnxruntime",
        "soundfile",
        "soxr",
        "mido",
        "rich",
        "sounddevice",
        "safetensors",
    }


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_there_and_helps(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, attribute = cli.COMMANDS[name][0].split(":")
    assert isinstance(getattr(importlib.import_module(module, "nsynth_instrument"), attribute), click.Command)
    assert run(name, "--help") == 0
    assert f"nsynth-instrument {name}" in capsys.readouterr().out


def test_version_and_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert "0." in capsys.readouterr().out
    assert run() == 2


def test_render_prints_the_folder_and_nothing_else(model: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("render", "--a", "flute", "--b", "bass", *SMALL) == 0
    said = capsys.readouterr()
    assert said.out == "exports/packs/flute-bass\n"
    assert "harmonic on " in said.err
    assert "2 notes in tune to" in said.err
    folder = Path("exports/packs/flute-bass")
    assert len(SamplePack.load(folder).zones) == 2
    assert read_sums(folder).keys() == {p.relative_to(folder).as_posix() for p in folder.rglob("*.*")}
    assert {"preview.mp3", "cover.png"} < read_sums(folder).keys()
    assert run("render", "--a", "flute", "--b", "bass", *SMALL) == 0
    said = capsys.readouterr()
    assert said.out == "exports/packs/flute-bass\n"
    assert "already" in said.err


@pytest.mark.parametrize(
    ("options", "name", "weights"),
    [
        (("--a", "flute", "--b", "bass"), "flute-bass", {"flute": 0.5, "bass": 0.5}),
        (("--a", "flute", "--b", "bass", "--mix", "0.25"), "flute-bass-25", {"flute": 0.75, "bass": 0.25}),
        (("--a", "flute"), "flute", {"flute": 1.0}),
        (("--a", "Flute", "--b", "pia"), "flute-piano", {"flute": 0.5, "piano": 0.5}),
        (("--a", "flute", "--b", "bass", "--name", "Mine"), "Mine", {"flute": 0.5, "bass": 0.5}),
        (("--preset", "flute-bass"), "flute-bass", {"flute": 0.5, "bass": 0.5}),
        (("--preset", "flute-bass", "--mix", "0.2"), "flute-bass-20", {"flute": 0.8, "bass": 0.2}),
        (
            ("--a", "flute", "--b", "bass", "--c", "piano", "--d", "pizzicato"),
            "flute-bass-piano-pizzicato",
            dict.fromkeys(("flute", "bass", "piano", "pizzicato"), 0.25),
        ),
        (
            ("--a", "flute", "--b", "bass", "--c", "piano", "--d", "pizzicato", "--x", "1", "--y", "0.25"),
            "flute-bass-piano-pizzicato-100-25",
            {"flute": 0.0, "bass": 0.75, "piano": 0.0, "pizzicato": 0.25},
        ),
        (("--a", "flute", "--b", "bass", "--steps", "5"), "flute-bass-5steps", {"flute": 0.5, "bass": 0.5}),
        (("--preset", "flute-bass", "--steps", "3"), "flute-bass-3steps", {"flute": 0.5, "bass": 0.5}),
    ],
)
def test_plan_prints_what_would_be_rendered(
    model: Bundle, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], name: str, weights: dict[str, float]
) -> None:
    assert run("render", *options, "--plan") == 0
    plan = tomllib.loads(capsys.readouterr().out)
    assert plan["name"] == name
    assert plan["morph"] == pytest.approx(weights)
    assert not Path("exports").exists()


def test_options_reach_the_plan(model: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--grid", "21-108/3", "--velocities", "127,64", "--seconds", "2", "--rate", "44100", "--bits", "16", "--seed", "7")
    assert run("render", "--a", "flute", *options, "--temperature", "0.5", "--no-loops", "--format", "sf2,sfz", "--plan") == 0
    text = capsys.readouterr().out
    plan = tomllib.loads(text)
    assert plan == {
        "name": "flute",
        "model": "harmonic",
        "seconds": 2.0,
        "rate": 44100,
        "bits": 16,
        "seed": 7,
        "temperature": 0.5,
        "loops": False,
        "interpolation": "linear",
        "formats": ["sfz", "sf2"],
        "steps": 1,
        "weighting": "bilinear",
        "morph": {"flute": 1.0},
        "grid": {"keys": "21-108/3", "velocities": [64, 127]},
    }
    Path("mine.toml").write_text(text)
    assert run("render", "--preset", "mine.toml", "--plan") == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ((), 2, "name what to render"),
        (("--a", "floot", "--b", "bass"), 2, "did you mean flute"),
        (("--a", "flute", "--b", "bass", "--mix", "1.5"), 2, "mix 1.5 is out of range"),
        (("--a", "flute", "--b", "bass", "--mix", "nan"), 2, "out of range"),
        (("--a", "flute", "--mix", "0.5"), 2, "--b"),
        (("--a", "flute", "--b", "bass", "--c", "piano"), 2, "four sounds"),
        (("--a", "flute", "--b", "bass", "--x", "0.5"), 2, "--c and --d"),
        (("--a", "flute", "--b", "bass", "--steps", "5", "--mix", "0.2"), 2, "leave --mix"),
        (("--a", "flute", "--steps", "5"), 2, "names 1"),
        (("--a", "flute", "--b", "bass", "--steps", "0"), 2, "1 to 127"),
        (("--a", "flute", "--b", "bass", "--weighting", "distance"), 2, "for four sounds"),
        (("--a", "flute", "--grid", "108-21"), 2, "impossible"),
        (("--a", "flute", "--grid", "everything"), 2, "not one of"),
        (("--a", "flute", "--velocities", "0,127"), 2, "must lie in 1..127"),
        (("--a", "flute", "--velocities", "soft,loud"), 2, "not numbers"),
        (("--a", "flute", "--seconds", "0.1"), 2, "use 1.5 to 30 s"),
        (("--a", "flute", "--rate", "1"), 2, "8000 to 192000"),
        (("--a", "flute", "--bits", "20"), 2, "16, 24 or 32"),
        (("--a", "flute", "--format", "mp3"), 2, "no format is called 'mp3'"),
        (("--a", "flute", "--model", "harmonik"), 2, "did you mean harmonic"),
        (("--a", "flute", "--name", "../x"), 2, "becomes a folder"),
        (("--a", "flute", "--runtime", "abacus"), 2, "abacus"),
        (("--a", "flute", "--threads", "0"), 2, "threads"),
        (("--preset", "flute-bas"), 2, "did you mean flute-bass"),
        (("--preset", "flute-bass", "--a", "piano"), 2, "--preset names the sounds already"),
        (("--preset", "none.toml"), 1, "there is no file none.toml"),
        (("--b", "bass"), 2, "name what to render"),
        (("--frobnicate",), 2, "No such option"),
        (("--a", "flute", "--out", "file/pack"), 1, "cannot write in file/pack"),
    ],
)
def test_a_mistake_gets_one_sentence(
    model: Bundle, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], code: int, words: str
) -> None:
    Path("file").write_text("in the way")
    assert run("render", *args) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert "Traceback" not in said.err
    assert not Path("exports").exists() or not any(Path("exports").rglob("*.wav"))


def test_a_gpu_that_is_not_there_is_an_error(model: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert run("render", "--a", "flute", *SMALL, "--device", "cuda") != 0
    said = capsys.readouterr()
    assert "GPU" in said.err or "CUDA" in said.err
    assert not any(Path().rglob("*.wav"))


def test_a_damaged_model_is_one_sentence(model: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    folder = Path(shutil.copytree(model.folder, tmp_path / "home" / "models" / "harmonic"))
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[1000] ^= 1
    (folder / "weights.safetensors").write_bytes(data)
    monkeypatch.setenv("NSYNTH_INSTRUMENT_HOME", str(tmp_path / "home"))
    process = start("render", "--a", "flute", *SMALL)
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("nsynth-instrument: model harmonic is damaged")
    assert err.count("\n") == 1


def test_killed_at_any_moment_it_goes_on_and_nothing_is_broken(model: Bundle) -> None:
    def render(out: str) -> "subprocess.Popen[str]":
        return start("render", "--a", "flute", "--b", "bass", *MANY, "--out", out)

    def finish(out: str) -> None:
        process = render(out)
        err = process.communicate(timeout=LIMIT)[1]
        assert process.returncode == 0, err

    finish("whole")
    for signal_, moment in ((signal.SIGKILL, "*.npz"), (signal.SIGINT, "*.npz"), (signal.SIGKILL, "*.wav")):
        there = len(list(Path().glob(f"broken/.work/**/{moment}")))  # a helper of one that was killed may have ended its block
        process = render("broken")
        wait_for(f"broken/.work/**/{moment}", there + 1, process)
        process.send_signal(signal_)
        err = process.communicate(timeout=LIMIT)[1]
        if signal_ == signal.SIGINT and process.returncode:
            assert process.returncode == 130
            assert err.endswith("nsynth-instrument: interrupted; run the same command to go on\n")
            assert "Traceback" not in err
            assert not list(Path().glob("broken/.work/**/.*.part"))
        if process.returncode == 0:  # it was done before the signal reached it
            shutil.rmtree("broken")
    finish("broken")
    whole, mended = (
        {str(p.relative_to(f)): p.read_bytes() for p in Path(f).rglob("*") if p.is_file()} for f in ("whole", "broken")
    )
    assert mended.keys() == whole.keys()
    assert not [name for name in whole if mended[name] != whole[name]]


def test_a_file_that_cannot_grow_is_one_sentence_and_goes_on_later(model: Bundle) -> None:
    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    process = start("render", "--a", "flute", *SMALL, preexec_fn=no_large_files)
    out, err = process.communicate(timeout=LIMIT)
    assert (process.returncode, out) == (1, "")
    assert "Traceback" not in err
    assert "nsynth-instrument: cannot write" in err
    assert "free some space" in err
    assert run("render", "--a", "flute", *SMALL) == 0
    assert not any(p.suffix in (".part", ".npz") for p in Path().rglob("*"))


def test_list_shows_all_there_is(model: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["flute", "flute", "acoustic", "C1..C7", "14", "Flute"] in lines
    assert ["flute-bass", "flute", "50%,", "bass", "50%"] in lines
    assert ["harmonic", "harmonic", "48000", "Hz", "default"] in lines
    assert run("list", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {i["name"] for i in found["instruments"]} == {"flute", "bass", "piano", "pizzicato"}
    assert {p["name"] for p in found["presets"]} == set(shipped())
    assert [m["default"] for m in found["models"] if m["name"] == "harmonic"] == [True]


def test_other_faults_in_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import errno

    for error, code, words in (
        (OSError(errno.ENOSPC, "No space left on device"), 1, "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), 1, "/x/y: permission is denied"),
        (MemoryError(), 1, "the memory is full"),
        (UnicodeEncodeError("utf-8", "caf\udce9.wav", 3, 4, "surrogates"), 1, r"'caf\udce9.wav' has letters that are no text in utf-8; rename"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ):

        @click.command()
        def broken(error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(cli.Lazy, "get_command", lambda *_, command=broken: command)
        assert run("broken") == code
        assert words in capsys.readouterr().err
