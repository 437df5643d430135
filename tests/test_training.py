"""The training loop: learns, stops, goes on where it stopped, and keeps the best."""

import csv
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nsynth_instrument.errors import DataError  # noqa: E402
from nsynth_instrument.training.loop import Run, Schedule, with_overrides  # noqa: E402


class Line(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fit = torch.nn.Linear(1, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (self.fit(x) - y).square().mean()}


class LineTask:
    """Fit y = 3 x + 1."""

    def module(self) -> torch.nn.Module:
        return Line()

    def batch(self, rng: np.random.Generator, size: int) -> dict[str, torch.Tensor]:
        x = torch.from_numpy(rng.normal(size=(size, 1)).astype(np.float32))
        return {"x": x, "y": 3 * x + 1}

    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        batch = self.batch(np.random.default_rng(9), 64)
        return {"loss": float(module(**batch)["loss"])}


SCHEDULE = Schedule(rate=0.02, warmup=10, weight_decay=0.0, every=1e9)


def train(folder: Path, seconds: float, **options: bool) -> list[float]:
    run = Run(folder, LineTask(), SCHEDULE)
    return [p.figures["loss"] for p in run.train(seconds / 60, report=20, **options) if p.kind == "valid"]


def test_a_run_learns_logs_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first = train(tmp_path, 1.0)[-1]
    again = Run(tmp_path, LineTask(), SCHEDULE)
    steps = again.step
    assert steps > 0
    assert again.seconds >= 1.0
    assert again.optimisers[0].state_dict()["state"][0]["step"] == steps, "the optimiser goes on too"
    list(again.train(1.0 / 60, report=1))  # on a busy machine a second has few steps
    assert again.step > steps
    assert again.best <= first
    with (tmp_path / "log.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert {r["kind"] for r in rows} == {"train", "valid"}
    assert int(rows[-1]["step"]) == again.step


class Plane(torch.nn.Module):
    """Two layers, of which the first is within."""

    outer = ("fit",)

    def __init__(self) -> None:
        super().__init__()
        self.within, self.fit = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (self.fit(self.within(x)) - y).square().mean()}


class PlaneTask(LineTask):
    def module(self) -> torch.nn.Module:
        return Plane()


def test_muon_moves_the_matrices_within_and_goes_on_with_its_momentum(tmp_path: Path) -> None:
    schedule = Schedule(rate=0.02, muon=0.02, warmup=10, every=1e9)
    first = [p.figures["loss"] for p in Run(tmp_path, PlaneTask(), schedule).train(0.5 / 60, report=20)][-1]
    again = Run(tmp_path, PlaneTask(), schedule)
    adam, muon = again.optimisers
    assert [p.shape for g in muon.param_groups for p in g["params"]] == [(1, 1)]
    assert [list(s) for s in muon.state_dict()["state"].values()] == [["momentum_buffer"]]
    assert len(adam.state_dict()["state"]) == 3
    steps = again.step
    while again.step < steps + 20_000 and (again.step == steps or again.best >= 1e-3):  # a busy machine has few a second
        list(again.train(0.5 / 60, report=20))
    assert again.best <= first, "on idle cores the first half second already finds the plane to the last bit"
    assert again.best < 1e-3


def test_a_finish_keeps_the_checkpoint_to_go_on_from(tmp_path: Path) -> None:
    train(tmp_path, 0.5)
    before = (tmp_path / "last.safetensors").read_bytes()
    train(tmp_path, 0.5, finish=True)
    assert (tmp_path / "last.safetensors").read_bytes() == before
    assert (tmp_path / "best.safetensors").exists()


def test_a_damaged_checkpoint_is_refused_with_the_cure(tmp_path: Path) -> None:
    train(tmp_path, 0.3)
    (tmp_path / "last.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match="remove it"):
        Run(tmp_path, LineTask(), SCHEDULE)


def test_a_schedule_refuses_a_field_that_it_has_not() -> None:
    assert with_overrides(SCHEDULE, {"batch": 4, "betas": [0.9, 0.9]}).betas == (0.9, 0.9)
    with pytest.raises(DataError, match="lerning"):
        with_overrides(SCHEDULE, {"lerning": 1})
