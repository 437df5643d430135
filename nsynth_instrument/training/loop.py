"""The training loop: one for all networks, over Accelerate, resumable at any step.

A run is a folder: `run.toml` (what is trained), `last.safetensors` (weights, their average, optimiser),
`best.safetensors` (the average that validated best), `log.csv`, and TensorBoard events. Checkpoints are
safetensors: no pickle is ever read.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..audio import whole
from ..errors import DataError

Batch = dict[str, torch.Tensor]


class Task(Protocol):
    """What a network brings to the loop."""

    def module(self) -> torch.nn.Module:
        """A fresh module; its forward(**batch) returns a dict of scalar tensors, `loss` among them."""
        ...

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """One training batch of `size` items, drawn from `rng` alone."""
        ...

    def validate(self, module: torch.nn.Module) -> dict[str, float]:
        """Figures on held-out notes; the lowest `loss` marks the best checkpoint."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How a run learns.

    rate: peak learning rate of AdamW, reached after `warmup` steps and held; muon: the same for the matrices within the
    network, which Muon then moves (Jordan et al. 2024: orthogonal steps learn more from each batch), 0 to leave all to
    AdamW; batch: items per process;
    average: decay of the exponential moving average of the weights; precision: "bf16", "no" or "auto", bf16 where the
    processor multiplies it fast (without AVX512-BF16 or AMX it is twenty times slower than float32);
    compile: through torch.compile; every: s between checkpoints (each validated).

    The rate is held, not planned to a last step, since a run goes on for as long as there is time;
    `finish` then takes it to zero over its span, which is where most of the gain of a decay lies
    (warmup-stable-decay: Hu et al. 2024, MiniCPM, section 4).
    """

    rate: float = 2e-3
    muon: float = 0.0
    warmup: int = 300
    batch: int = 16
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 1e-3
    clip: float = 5.0
    average: float = 0.999
    precision: str = "auto"
    compile: bool = False
    seed: int = 0
    every: float = 300.0


@dataclass(frozen=True)
class Progress:
    """One report of the loop. seconds: trained in all sessions; figures: of training since the last report, or of validation."""

    step: int
    seconds: float
    kind: str
    figures: Mapping[str, float]


class Run:
    """A run folder and the state that goes on in it."""

    def __init__(self, folder: Path, task: Task, schedule: Schedule, *, init: Path | None = None) -> None:
        """Resume from `folder` if it holds a checkpoint, else start; `init` gives first weights (a safetensors file).

        Raises DataError when a checkpoint is damaged or is another network's.
        """
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.task, self.schedule = folder, task, schedule
        AcceleratorState._reset_state()  # a run of another precision may have been in this process
        self.accelerator = Accelerator(mixed_precision=precision_for(schedule.precision))
        torch.manual_seed(schedule.seed)
        plain = task.module()
        self.step, self.seconds, self.best = 0, 0.0, float("inf")
        last = folder / "last.safetensors"
        if init is not None and not last.exists():
            first = _tensors(init)[0]
            if not first.keys() & plain.state_dict().keys():  # a bundle's: the network alone, without its loss
                first = {f"net.{k}": v for k, v in first.items()}
            _load_into(plain, first, init)
        optimisers = _optimisers(plain, schedule)
        if last.exists():
            tensors, meta = _tensors(last)
            _load_into(plain, {k[2:]: v for k, v in tensors.items() if k.startswith("w/")}, last)
            average = {k[2:]: v for k, v in tensors.items() if k.startswith("a/")}
            for optimiser in optimisers:
                _load_optimiser(optimiser, plain, tensors)
            self.step, self.seconds = int(meta["step"]), float(meta["seconds"])
        else:
            average = {k: v.detach().clone() for k, v in plain.state_dict().items()}
        self.plain = plain
        self.module, *self.optimisers = self.accelerator.prepare(plain, *optimisers)
        self._rates = [[float(group["lr"]) for group in o.param_groups] for o in self.optimisers]
        self.average = {k: v.to(self.accelerator.device) for k, v in average.items()}
        self._forward = torch.compile(self.module) if schedule.compile else self.module
        best = folder / "best.safetensors"
        if best.exists():
            # Measured again: the data that validates may have changed since, and an old figure would bar every new best.
            module = task.module()
            _load_into(module, _tensors(best)[0], best)
            with torch.no_grad():
                self.best = task.validate(module.to(self.accelerator.device).eval())["loss"]

    def train(self, minutes: float, *, finish: bool = False, report: int = 100) -> Iterator[Progress]:
        """Train for `minutes` of wall-clock and yield progress; with `finish` the rate falls to zero on the way.

        Writes `last` and, when validation improves, `best`, every `schedule.every` s and at the end. A
        finishing span writes only `best`: `last` stays where the rate is high, to go on from.
        """
        began, saved, sums, count = time.monotonic(), time.monotonic(), {}, 0
        sums = dict[str, float]()
        with ThreadPoolExecutor(1) as ahead:
            queue = [ahead.submit(self._draw, self.step + i) for i in range(3)]
            while (passed := (time.monotonic() - began) / 60) < minutes:
                for name, value in self._learn(queue.pop(0).result(), 1 - passed / minutes if finish else 1.0).items():
                    sums[name] = sums.get(name, 0.0) + value
                count += 1
                queue.append(ahead.submit(self._draw, self.step + len(queue)))
                if count == report:
                    yield self._log("train", {k: v / count for k, v in sums.items()}, began)
                    sums, count = {}, 0
                if time.monotonic() - saved > self.schedule.every:
                    yield self._checkpoint(began, keep_last=not finish)
                    saved = time.monotonic()
            for q in queue:
                q.cancel()
        yield self._checkpoint(began, keep_last=not finish)
        self.seconds += time.monotonic() - began

    def _draw(self, step: int) -> Batch:
        """The batch of a step: a function of (seed, process, step), so that a resumed run repeats none."""
        rng = np.random.default_rng([self.schedule.seed, self.accelerator.process_index, step])
        return self.task.batch(rng, self.schedule.batch)

    def _learn(self, batch: Batch, scale: float) -> dict[str, float]:
        scale *= min(1.0, (self.step + 1) / self.schedule.warmup)
        for optimiser, rates in zip(self.optimisers, self._rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * scale
        self.module.train()
        with self.accelerator.autocast():
            figures = self._forward(**{k: v.to(self.accelerator.device) for k, v in batch.items()})
        self.accelerator.backward(figures["loss"])
        norm = self.accelerator.clip_grad_norm_(self.module.parameters(), self.schedule.clip)
        if norm is not None and not torch.isfinite(norm):
            last = self.folder / "last.safetensors"
            raise DataError(f"training diverged at step {self.step}; go on from {last} with a lower rate")
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        # An average that starts at the first step would drag the random weights along: let it lengthen.
        decay = min(self.schedule.average, 1 - 1 / (1 + self.step / 10))
        state = self.plain.state_dict()
        with torch.no_grad():
            floats = [k for k in self.average if self.average[k].is_floating_point()]
            torch._foreach_lerp_([self.average[k] for k in floats], [state[k] for k in floats], 1 - decay)
        return {k: float(v.detach()) for k, v in figures.items()}

    def averaged(self) -> torch.nn.Module:
        """A copy of the network with the averaged weights, for validation and export."""
        module = self.task.module().to(self.accelerator.device)
        module.load_state_dict(self.average)
        return module.eval()

    def _checkpoint(self, began: float, *, keep_last: bool) -> Progress:
        with torch.no_grad():
            figures = self.task.validate(self.averaged())
        progress = self._log("valid", figures, began)
        if not self.accelerator.is_main_process:
            return progress
        if figures["loss"] < self.best:
            self.best = figures["loss"]
            with whole(self.folder / "best.safetensors") as part:
                about = {"step": str(self.step), "figures": json.dumps(figures)}
                save_file({k: v.contiguous() for k, v in self.average.items()}, part, about)
        if keep_last:
            meta = {"step": str(self.step), "seconds": str(progress.seconds)}
            tensors = {f"w/{k}": v for k, v in self.plain.state_dict().items()} | {f"a/{k}": v for k, v in self.average.items()}
            names = {id(p): n for n, p in self.plain.named_parameters()}
            for optimiser in self.optimisers:
                for p in (p for group in optimiser.param_groups for p in group["params"]):
                    for key, value in optimiser.state.get(p, {}).items():
                        tensors[f"o/{key}/{names[id(p)]}"] = value
            with whole(self.folder / "last.safetensors") as part:
                save_file({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}, part, meta)
        return progress

    def _log(self, kind: str, figures: Mapping[str, float], began: float) -> Progress:
        progress = Progress(self.step, self.seconds + time.monotonic() - began, kind, dict(figures))
        if self.accelerator.is_main_process:
            path = self.folder / "log.csv"
            fresh = not path.exists()
            with path.open("a", newline="") as f:
                out = csv.writer(f)
                if fresh:
                    out.writerow(("step", "seconds", "kind", "figure", "value"))
                out.writerows((self.step, f"{progress.seconds:.0f}", kind, k, f"{v:.6g}") for k, v in figures.items())
            self._board(kind, figures)
        return progress

    def _board(self, kind: str, figures: Mapping[str, float]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:  # TensorBoard is a convenience; the CSV has everything.
            return
        with SummaryWriter(str(self.folder / "tensorboard")) as board:
            for name, value in figures.items():
                board.add_scalar(f"{kind}/{name}", value, self.step)


def precision_for(wanted: str) -> str:
    """"bf16" or "no", of a `Schedule.precision`."""
    if wanted != "auto":
        return wanted
    fast = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return "bf16" if fast else "no"


def _tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as f:
            return {k: f.get_tensor(k) for k in f.keys()}, f.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as e:
        raise DataError(f"checkpoint {path} cannot be read ({e}); remove it to start again") from e


def _load_into(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    try:
        module.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except RuntimeError as e:
        raise DataError(f"checkpoint {path} is another network's: use another --run folder") from e


def _optimisers(module: torch.nn.Module, schedule: Schedule) -> list[torch.optim.Optimizer]:
    """AdamW for all parameters, or for all but the matrices within: those of no layer that `module.outer` names."""
    outer: tuple[str, ...] = getattr(module, "outer", ())
    inner = {n: p for n, p in module.named_parameters() if schedule.muon and p.ndim == 2 and not n.startswith(outer)}
    rest = [p for n, p in module.named_parameters() if n not in inner]
    decay = schedule.weight_decay
    out: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, schedule.rate, betas=schedule.betas, weight_decay=decay)]
    if inner:
        out.append(torch.optim.Muon(list(inner.values()), schedule.muon, weight_decay=decay))
    return out


def _load_optimiser(optimiser: torch.optim.Optimizer, module: torch.nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put `o/KEY/NAME` tensors back as the state of the parameter NAME, of those that the optimiser moves."""
    mine = {id(p) for group in optimiser.param_groups for p in group["params"]}
    for name, p in module.named_parameters():
        if id(p) not in mine:
            continue
        state = {k.split("/", 2)[1]: v for k, v in tensors.items() if k.startswith("o/") and k.split("/", 2)[2] == name}
        if state:
            optimiser.state[p] = state


def with_overrides(schedule: Schedule, values: Mapping[str, Any]) -> Schedule:
    """A schedule with some fields replaced. Raises DataError naming a field that it has not."""
    unknown = set(values) - set(Schedule.__dataclass_fields__)
    if unknown:
        raise DataError(f"the schedule has no {', '.join(sorted(unknown))}; it has {', '.join(Schedule.__dataclass_fields__)}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return replace(schedule, **values)
