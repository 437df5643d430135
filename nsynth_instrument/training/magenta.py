"""Magenta's published checkpoints as bundles: the WaveNet autoencoder h512_bo16 and the spectral baseline nfft_1024."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from .. import __version__, bundle
from ..bank import InstrumentBank
from ..bundle import Bundle
from ..codes import DIMS
from ..dsp import spectra
from ..errors import DataError, MissingExtra
from ..instruments import BANK
from ..nets.spectral_config import DECODER, ENCODER, NFFT_1024, PITCH
from ..nets.wavenet_config import H512, WaveNetConfig
from .checkpoint import Checkpoint

Floats = npt.NDArray[np.float32]

AVERAGE = "/ExponentialMovingAverage"
_SLOTS = ("/Adam", "/Adam_1", AVERAGE, "/Momentum", "/RMSProp", "/RMSProp_1")
_STATISTICS = ("/moving_mean", "/moving_variance")
"""Of a norm: averages themselves, which have no moving average."""
_SCALARS = ("global_step", "beta1_power", "beta2_power")
_NSYNTH = "the NSynth dataset (Engel et al. 2017), CC BY 4.0"


def wavenet_shapes(c: WaveNetConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a checkpoint of a WaveNet autoencoder; h512_bo16.py and masked.py."""
    e, w, s = c.encoder_width, c.width, c.skip
    layers = {
        "ae_startconv": (3, 1, e), "ae_bottleneck": (1, e, c.dims), "startconv": (c.kernel, 1, w), "skip_start": (1, w, s),
        "out1": (1, s, s), "cond_map_out1": (1, c.dims, s), "logits": (1, s, 256),
    }  # fmt: skip
    for i in range(1, c.encoder_layers + 1):
        layers |= {f"ae_dilatedconv_{i}": (3, e, e), f"ae_res_{i}": (1, e, e)}
    for i in range(1, c.layers + 1):
        layers |= {f"dilatedconv_{i}": (c.kernel, w, 2 * w), f"cond_map_{i}": (1, c.dims, 2 * w)}
        layers |= {f"res_{i}": (1, w, w), f"skip_{i}": (1, w, s)}
    weights = {f"{name}/W": (1, *shape) for name, shape in layers.items()}
    return weights | {f"{name}/biases": shape[-1:] for name, shape in layers.items()}


def wavenet_weights(get: Callable[[str], Floats], c: WaveNetConfig) -> dict[str, Floats]:
    """Weights as `nets.wavenet.WaveNet` names them. get: a tensor by its checkpoint's name."""

    def matrix(name: str) -> Floats:
        """(outputs, taps * inputs), taps oldest first."""
        w = get(f"{name}/W")[0]
        return np.ascontiguousarray(w.reshape(-1, w.shape[2]).T)

    out: dict[str, Floats] = {}

    def put(name: str, *layers: str) -> None:
        """One layer, or several whose outputs stand one after another."""
        out[f"{name}.weight"] = np.concatenate([matrix(n) for n in layers])
        out[f"{name}.bias"] = np.concatenate([get(f"{n}/biases") for n in layers])

    put("encoder.start", "ae_startconv")
    put("encoder.bottleneck", "ae_bottleneck")
    for i in range(c.encoder_layers):
        put(f"encoder.dilated.{i}", f"ae_dilatedconv_{i + 1}")
        put(f"encoder.residual.{i}", f"ae_res_{i + 1}")
    for name in ("start", "skip_start", "out1", "logits"):
        put(f"decoder.{name}", "startconv" if name == "start" else name)
    put("decoder.condition", *(f"cond_map_{i + 1}" for i in range(c.layers)), "cond_map_out1")
    for i in range(c.layers):
        put(f"decoder.layers.{i}.dilated", f"dilatedconv_{i + 1}")
        put(f"decoder.layers.{i}.join", f"res_{i + 1}", f"skip_{i + 1}")
    return out


def spectral_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes in a checkpoint of the baseline; nfft_1024.py and utils.py."""
    out: dict[str, tuple[int, ...]] = {"decoder/PitchEmbedding/embedding_weights": (128, PITCH)}
    inputs = 1
    for table, half in ((ENCODER, "encoder"), (DECODER, "decoder")):
        for name, kernel, _, channels in table:
            shape = (inputs, channels) if half == "encoder" else (channels, inputs)
            scope = f"{half}/{name}_Layer/{name}"
            out[f"{scope}/weights"] = (kernel, kernel, *shape)
            out |= {f"{scope}/BatchNorm/{part}": (channels,) for part in ("beta", "moving_mean", "moving_variance")}
            inputs = channels
        inputs += PITCH
    channels = DECODER[-1][3]
    return out | {"decoder/mag_Layer/mag/weights": (1, 1, channels, 1), "decoder/mag_Layer/mag/biases": (1,)}


def spectral_weights(get: Callable[[str], Floats]) -> dict[str, Floats]:
    """Weights as `nets.spectral.Published` names them."""
    out = {
        "pitch": get("decoder/PitchEmbedding/embedding_weights"),
        "mag.weight": get("decoder/mag_Layer/mag/weights")[0, 0].T,
        "mag.bias": get("decoder/mag_Layer/mag/biases"),
    }
    for half, table in (("encoder", ENCODER), ("decoder", DECODER)):
        for name, *_ in table:
            scope, mine = f"{half}/{name}_Layer/{name}", f"{half}.{name}"
            # Both are kept as (height, width, a, b): a convolution's inputs, outputs and its transpose's outputs, inputs.
            out[f"{mine}.weight"] = get(f"{scope}/weights").transpose(3, 2, 0, 1)
            for part, here in (("beta", "bias"), ("moving_mean", "running_mean"), ("moving_variance", "running_var")):
                out[f"{mine}.norm.{here}"] = get(f"{scope}/BatchNorm/{part}")
    return {k: np.ascontiguousarray(v) for k, v in out.items()}


def checked(found: Checkpoint, shapes: Mapping[str, tuple[int, ...]], *, average: bool) -> Callable[[str], Floats]:
    """What reads a tensor by name, after all names and shapes were compared. average: the moving averages instead.

    Raises DataError with what is missing or of another shape.
    """
    names = {n: n + AVERAGE if average and not n.endswith(_STATISTICS) else n for n in shapes}
    if average and not any(n.endswith(AVERAGE) for n in found.entries):
        raise DataError(f"{found.prefix} keeps no moving averages; import it without --average")
    missing = [n for n in names.values() if n not in found.entries]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DataError(f"{found.prefix} is another network's: it lacks {', '.join(missing[:3])}{more}")
    for name, where in names.items():
        entry = found.entries[where]
        if entry.shape != shapes[name] or entry.dtype != "<f4":
            what = f"{where} is {entry.shape} {entry.dtype}, not {shapes[name]} <f4"
            raise DataError(f"{found.prefix} is another network's: {what}")

    def get(name: str) -> Floats:
        values: Floats = found.tensor(names[name])
        if not np.isfinite(values).all():
            raise DataError(f"{found.prefix}: {names[name]} holds values that are not numbers; get it again, or an earlier one")
        return values

    return get


def foreign(found: Checkpoint, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """Names that are neither the network's nor its optimiser's."""
    for name in found.entries:
        base = next((name.removesuffix(s) for s in _SLOTS if name.endswith(s)), name)
        if base not in shapes and name.rsplit("/", 1)[-1] not in _SCALARS:
            yield name


def import_checkpoint(
    path: Path, out: Path, *, average: bool = False, graphs: bool = False, licence: str = "unstated",
    tell: Callable[[str], object] = lambda _: None,
) -> Bundle:  # fmt: skip
    """Write the bundle `out` of the checkpoint `path`, weights as they are, in float32.

    graphs: also make those for ONNX Runtime, of which no other runtime reads any. `tell` gets a sentence for what is left out.
    The bank is empty: `bank` fills it from soundfonts, `capture` and `render` take recordings. Raises DataError when the file is
    damaged or holds another network, MissingExtra where graphs are asked for and torch or onnx is not installed.
    """
    found = Checkpoint(path)
    if "startconv/W" in found.entries:
        kind, rate, hop, network = "wavenet", H512.rate, H512.hop, H512.to_dict()
        shapes = wavenet_shapes(H512)
        weights = wavenet_weights(checked(found, shapes, average=average), H512)
    elif "encoder/0_Layer/0/weights" in found.entries:
        kind, rate, hop, network = "spectral", spectra.RATE, spectra.PER_CODE * spectra.HOP, NFFT_1024.to_dict()
        shapes = spectral_shapes()
        weights = spectral_weights(checked(found, shapes, average=average))
    else:
        some = ", ".join(sorted(found.entries)[:3]) or "nothing"
        raise DataError(f"{found.prefix} holds neither NSynth's WaveNet nor its spectral baseline, but {some}")
    others = sorted(foreign(found, shapes))
    if others:
        tell(f"left out: {len(others)} tensors that the network does not use ({', '.join(others[:3])} ...)")
    training: dict[str, Any] = {"imported": found.prefix.name, "average": average, "version": __version__}
    if "global_step" in found.entries:
        training["steps"] = int(found.tensor("global_step"))
    contents = {"weights.safetensors": save(weights), BANK: InstrumentBank({}).to_bytes()}
    if graphs:
        contents |= _graphs(kind, weights)
    return bundle.write(
        out, contents, name=out.name, kind=kind, rate=rate, hop=hop, dims=DIMS, licence=licence, sources=(_NSYNTH,),
        network=network, training=training,
    )  # fmt: skip


def _graphs(kind: str, weights: Mapping[str, Floats]) -> dict[str, bytes]:
    try:
        import torch
    except ImportError as e:
        raise MissingExtra("writing graphs", "train") from e

    tensors = {k: torch.from_numpy(v.copy()) for k, v in weights.items()}
    if kind == "wavenet":
        from . import wavenet_export

        made = wavenet_export.contents(tensors, H512, half=False)
    else:
        from . import spectral_export

        made = spectral_export.contents(tensors, NFFT_1024)
    return {k: v for k, v in made.items() if k.endswith(".onnx")}
