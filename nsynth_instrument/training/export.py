"""A run's best network as a bundle."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from .. import __version__, bundle
from ..bundle import Bundle
from ..codes import DIMS
from ..errors import DataError
from .plan import recall


def export(run: Path, out: Path, *, licence: str, sources: Sequence[str] = ()) -> Bundle:
    """Write the bundle `out` from `run`'s best checkpoint: weights, graphs and how it was trained.

    A bank that `out` held is gone, since its codes were another network's: make it anew. A run of `transposition` adds to a copy
    of the model whose codes it moves; its bank is made anew too, since it keeps how well each note is known. sources: of the
    sounds that it was trained on, by default the dataset's soundfonts. Raises DataError when the run has no checkpoint,
    MissingExtra without onnx.
    """
    plan, data = recall(run)
    weights, meta = _best(run / "best.safetensors")
    if plan.kind == "transposition":
        return _with_keys(plan.network, weights, out)
    if plan.kind == "wavenet":
        from ..nets.wavenet_config import WaveNetConfig
        from . import wavenet_export

        shape = WaveNetConfig.of(plan.network)
        network, rate, hop = shape.to_dict(), shape.rate, shape.hop
        contents = wavenet_export.contents(weights, shape)
    elif plan.kind == "spectral":
        from ..dsp import spectra
        from ..nets.spectral_config import SpectralConfig
        from . import spectral_export

        own = SpectralConfig.of(plan.network)
        network, rate, hop = own.to_dict(), spectra.RATE, spectra.PER_CODE * spectra.HOP
        contents = spectral_export.contents({k.removeprefix("net."): v for k, v in weights.items()}, own)
    elif plan.kind == "classifier":
        from ..nets.classifier import RATE, STEP, Classifier, ClassifierConfig
        from .graphs import weights as small

        ears = ClassifierConfig.from_dict(dict(plan.network))
        net = Classifier(ears)
        net.load_state_dict({k.removeprefix("net."): v for k, v in weights.items()})
        network, rate, hop = ears.to_dict(), RATE, STEP
        contents = {"weights.safetensors": small(net)}
    else:
        from ..dsp.partials import HOP, RATE
        from ..dsp.timbre import PER_CODE
        from ..nets.harmonic import HarmonicConfig
        from . import harmonic_export

        form = HarmonicConfig.from_dict(dict(plan.network))
        network, rate, hop = form.to_dict(), RATE, HOP * PER_CODE
        contents = harmonic_export.contents({k.removeprefix("net."): v for k, v in weights.items()}, form)
    training: dict[str, Any] = {
        "plan": plan.name,
        "version": __version__,
        "seed": int(plan.schedule.get("seed", 0)),
        "steps": int(meta.get("step", 0)),
        "figures": json.loads(meta.get("figures", "{}")),
        "data": data,
    }
    if commit := _commit():
        training["commit"] = commit
    return bundle.write(
        out, contents, name=out.name, kind=plan.kind, rate=rate, hop=hop, dims=DIMS, licence=licence,
        sources=tuple(sources) or tuple(data.get("soundfonts", ())) or (str(data.get("folder", "unstated")),),
        network=network, training=training,
    )  # fmt: skip


def _with_keys(network: Mapping[str, Any], weights: Mapping[str, torch.Tensor], out: Path) -> Bundle:
    """The model whose codes they are, in `out`, with the network that says other keys'; its bank says how well each is known."""
    from safetensors.numpy import save

    from ..codecs.transposition import FILE, packed
    from ..nets.transposition import KeyConfig

    model = bundle.find(KeyConfig(**network).of)
    mine = save(packed({k.removeprefix("net."): v.float().numpy() for k, v in weights.items()}))
    return bundle.write(
        out, {**{f: model.path(f).read_bytes() for f in model.files}, FILE: mine}, name=model.name, kind=model.kind,
        rate=model.rate, hop=model.hop, dims=model.dims, licence=model.licence, sources=model.sources, network=model.network,
        training=model.training,
    )  # fmt: skip


def _best(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as f:
            return {k: f.get_tensor(k) for k in f.keys()}, f.metadata() or {}  # noqa: SIM118 (not a mapping)
    except FileNotFoundError as e:
        raise DataError(f"{path.parent} has no {path.name} yet; train for longer than one checkpoint") from e
    except (SafetensorError, OSError) as e:
        raise DataError(f"{path} cannot be read ({e}); train on from last.safetensors, and export then") from e


def _commit() -> str | None:
    """Of the program's own source, if it runs from a work tree."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    found = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
