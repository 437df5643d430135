"""What a run trains: its configuration, the task and schedule made of it, and its record in the run's folder."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from ..audio import whole
from ..bundle import KINDS
from ..errors import DataError, NsynthError, UnknownName
from ..progress import Passed
from .kept import nobody
from .loop import Schedule, Task, with_overrides

FOLDER = Path(__file__).parent
RECORD = "run.toml"
TRAINED = (*KINDS, "transposition")
"""Kinds of networks, a model's own or a part of one."""

Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class TrainingPlan:
    """A configuration. kind: of network; network, recipe, schedule: what differs from the defaults of that kind."""

    name: str
    kind: str
    network: Mapping[str, Any]
    recipe: Mapping[str, Any]
    schedule: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, values: Mapping[str, Any], *, where: str) -> TrainingPlan:
        """Raises DataError for keys or kinds that are not known."""
        unknown = set(values) - {"kind", "network", "recipe", "schedule"}
        if unknown or values.get("kind") not in TRAINED:
            kinds = " or ".join(f"'{k}'" for k in TRAINED)
            raise DataError(f"{where} is not a training plan: it needs kind = {kinds}, and may have [network], "
                            "[recipe] and [schedule]; compare it with a shipped one, " + ", ".join(shipped()))  # fmt: skip
        return cls(name, values["kind"], *(dict(values.get(k, {})) for k in ("network", "recipe", "schedule")))

    @property
    def hears(self) -> str:
        """What is kept of a dataset for it, so that plans which hear the same share it: "features" or "recordings"."""
        return "features" if self.kind in ("harmonic", "transposition") or self.network.get("guide") else "recordings"

    def to_dict(self) -> dict[str, Any]:
        """As TOML has it, and `of` reads it."""
        return {"kind": self.kind, "network": self.network, "recipe": self.recipe, "schedule": self.schedule}


def shipped() -> list[str]:
    """Names of the plans that come with the program."""
    return sorted(p.stem for p in FOLDER.glob("*.toml") if p.stem.split("-")[0] in TRAINED)


def load(name: str) -> TrainingPlan:
    """A shipped plan by name, or a TOML file by path. Raises UnknownName or DataError."""
    path = FOLDER / f"{name}.toml" if name in shipped() else Path(name)
    if path.suffix != ".toml" or not path.is_file():
        raise UnknownName("training plan", name, shipped())
    return TrainingPlan.of(path.stem, _toml(path), where=str(path))


def prepare(
    plan: TrainingPlan,
    data: Path,
    cache: Path,
    progress: Progress,
    *,
    skip_damaged: bool = False,
    tell: Callable[[str], object] = nobody,
    passed: Passed | None = None,
) -> tuple[Task, Schedule, dict[str, Any]]:
    """The task over the dataset in `data`, its schedule, and what shall be remembered of the data.

    What the network hears is computed once and kept in `cache`; progress(instrument, notes) as each is done, and `tell` gets
    a sentence before. passed: see `Dataset.open`. Notes that are damaged are left out with `skip_damaged`. Raises DataError
    when the dataset is missing or too small, or a setting is unknown, NsynthError where the disk has no room for the cache.
    """
    from . import features, recordings

    schedule = with_overrides(Schedule(), plan.schedule)
    rows = features.rows(data, skip_damaged=skip_damaged, passed=passed)

    def analysed() -> list[features.Analysed]:
        for name, notes in features.build(rows, cache, tell=tell):
            progress(name, notes)
        return [i for i in features.load(cache) if i.name in rows]

    def recorded(rate: int, hop: int) -> list[recordings.Recorded]:
        for name, notes in recordings.build(rows, cache, rate=rate, hop=hop, tell=tell):
            progress(name, notes)
        return [i for i in recordings.load(cache) if i.name in rows]

    task: Task
    try:
        if plan.kind == "wavenet":
            from ..nets.wavenet_config import WaveNetConfig

            config = WaveNetConfig.of(plan.network)
            if config.guide:
                from .guided import GuidedRecipe, GuidedTask

                asked_of = GuidedRecipe(**plan.recipe)
                task = GuidedTask(analysed(), rows, config, asked_of)
            else:
                from .wavenet import WaveNetRecipe, WaveNetTask

                recipe = WaveNetRecipe(**plan.recipe)
                task = WaveNetTask(recorded(config.rate, config.hop), config, recipe)
        elif plan.kind == "classifier":
            from ..nets import classifier as ears
            from .classifier import HOP, ClassifierRecipe, ClassifierTask, labels

            shape, wanted = ears.ClassifierConfig.from_dict(dict(plan.network)), ClassifierRecipe(**plan.recipe)
            task = ClassifierTask(recorded(ears.RATE, HOP), labels(rows), shape, wanted)
        elif plan.kind == "spectral":
            from ..dsp import spectra
            from ..nets.spectral_config import SpectralConfig
            from .spectral import HOP as FRAME
            from .spectral import SpectralRecipe, SpectralTask

            form, to_do = SpectralConfig.of(plan.network), SpectralRecipe(**plan.recipe)
            task = SpectralTask(recorded(spectra.RATE, FRAME), form, to_do)
        elif plan.kind == "transposition":
            from ..bundle import find
            from ..nets.transposition import KeyConfig
            from .transposition import KeyRecipe, KeyTask

            keys, learned = KeyConfig(**plan.network), KeyRecipe(**plan.recipe)
            task = KeyTask(analysed(), find(keys.of), keys, learned)
        else:
            from ..nets.harmonic import HarmonicConfig
            from .harmonic import HarmonicTask, Recipe

            voice, asked = HarmonicConfig.from_dict(dict(plan.network)), Recipe(**plan.recipe)
            task = HarmonicTask(analysed(), voice, asked)
    except TypeError as e:
        raise DataError(f"plan {plan.name} has a setting that its kind has not ({e})") from e
    if not task.instruments or not task.held_out:
        raise DataError(f"{data} needs instruments in its train and in its valid or test split; make it with dataset build")
    about = {
        "folder": data.name,
        "instruments": len(task.instruments),
        "held_out": len(task.held_out),
        "soundfonts": sorted({str(r[0]["soundfont"]) for r in rows.values() if "soundfont" in r[0]}),
    }
    return task, schedule, about


def remember(run: Path, plan: TrainingPlan, data: Mapping[str, Any]) -> None:
    """Write the run's record, or check that it is of the same plan. Raises DataError if it is of another."""
    path = run / RECORD
    if path.exists():
        there = recall(run)[0]
        if (there.kind, dict(there.network)) != (plan.kind, dict(plan.network)):
            raise DataError(f"{run} trains another network ({there.name}); choose another folder with --run")
    run.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        part.write_text(tomli_w.dumps({"name": plan.name, "plan": plan.to_dict(), "data": dict(data)}), "utf-8")


def recall(run: Path) -> tuple[TrainingPlan, dict[str, Any]]:
    """The plan and the data's description of a run. Raises NsynthError when the folder is not a run's."""
    path = run / RECORD
    if not path.is_file():
        raise NsynthError(f"{run} is not a training run: it has no {RECORD}; give the folder that train was given with --run")
    raw = _toml(path)
    try:
        return TrainingPlan.of(str(raw["name"]), raw["plan"], where=str(path)), dict(raw["data"])
    except (KeyError, TypeError, ValueError) as e:
        raise DataError(f"{path} is damaged ({e}); train again into another folder") from e


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise DataError(f"{path} cannot be read ({e}); mend it, or compare it with a shipped plan") from e
