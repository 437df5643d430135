"""Where a decoder runs: our own CPU kernel, ONNX Runtime, or PyTorch. NumPy in, NumPy out, no noise of their own."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ..bundle import Bundle
from ..codecs import Codec
from ..errors import BundleError, UnknownName, UsageError

if TYPE_CHECKING:
    from ..codecs.harmonic import HarmonicCodec
    from ..codecs.refine import Differentiable
    from ..codecs.transposition import Transposition

RUNTIMES = ("kernel", "onnx", "torch")
DEVICES = ("auto", "cpu", "cuda", "tensorrt", "directml", "coreml")
PRECISIONS = ("auto", "float32", "bf16")


def open_codec(
    bundle: Bundle, runtime: str = "auto", *, threads: int | None = None, device: str = "auto", precision: str = "auto"
) -> Codec:
    """The bundle's codec on a runtime. `auto` takes torch for CUDA, ONNX Runtime for other accelerators, else the kernel;
    on its own it takes CUDA for a WaveNet alone, since the other voices are quick.

    precision: of what a WaveNet's products read; `auto` is bf16 in the kernel where that is faster (AMX's tiles, AMD's pairs),
    else float32. Raises UnknownName for another runtime, device or precision, MissingExtra where the runtime's packages are not
    installed, DeviceError where a GPU is asked for and missing, BundleError where the model is damaged.
    """
    if runtime not in ("auto", *RUNTIMES):
        raise UnknownName("runtime", runtime, ("auto", *RUNTIMES))
    if device not in DEVICES:
        raise UnknownName("device", device, DEVICES)
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS)
    if runtime == "auto" and device == "auto" and bundle.kind == "wavenet" and _torch_has_cuda():
        device = "cuda"
    if runtime == "auto":
        runtime = {"auto": "kernel", "cpu": "kernel", "cuda": "torch"}.get(device, "onnx")
    if runtime == "kernel" and device not in ("auto", "cpu"):
        raise UsageError("the kernel runs on the CPU alone; take --runtime torch or --runtime onnx for a GPU")
    if runtime == "torch" and device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"the torch runtime knows no {device}; take --runtime onnx")
    if runtime == "onnx" and precision == "bf16":
        raise UsageError("the onnx runtime multiplies float32; take --runtime kernel or --runtime torch for bf16")
    if bundle.kind == "harmonic":
        return _harmonic(bundle, runtime, threads, device)
    if bundle.kind == "wavenet":
        return _wavenet(bundle, runtime, threads, device, precision)
    if bundle.kind == "spectral":
        return _spectral(bundle, runtime, threads, device)
    if bundle.kind == "classifier":
        raise BundleError(f"model {bundle.name} judges sounds and makes none; name another")
    raise BundleError(f"model {bundle.name} is of kind {bundle.kind}, which this version cannot run; update nsynth-instrument")


def apart(bundle: Bundle, runtime: str = "auto", device: str = "auto") -> bool:
    """Whether many notes are soonest made by codecs of one thread, asked for some of them by a thread for each core."""
    return bundle.kind == "harmonic" and (runtime == "kernel" or (runtime == "auto" and device in ("auto", "cpu")))


def _graph(bundle: Bundle, name: str) -> Path:
    """A graph for ONNX Runtime, which an imported model has only if it was asked for. Raises BundleError without it."""
    if not bundle.has(f"{name}.onnx"):
        cure = "import it again with --graphs, or take --runtime kernel or --runtime torch"
        raise BundleError(f"model {bundle.name} has no graphs for ONNX Runtime; {cure}")
    return bundle.path(f"{name}.onnx")


def _torch_has_cuda() -> bool:
    """Whether there is a driver, and a torch that sees a GPU; torch, which is slow to load, is asked only with a driver."""
    if shutil.which("nvidia-smi") is None or importlib.util.find_spec("torch") is None:
        return False
    from .torch import pick_device

    return pick_device("auto").type == "cuda"


def _harmonic(bundle: Bundle, runtime: str, threads: int | None, device: str) -> HarmonicCodec:
    from ..codecs.harmonic import HarmonicCodec, HarmonicNetwork

    network: HarmonicNetwork
    if runtime == "onnx":
        from .onnx import Halves

        network = Halves(_graph(bundle, "encoder"), _graph(bundle, "decoder"), device=device, threads=threads)
    elif runtime == "torch":
        from .torch import harmonic

        network = harmonic(bundle.path("weights.safetensors"), bundle.network, device=device)
    else:
        from safetensors.numpy import load_file

        from .kernel_harmonic import HarmonicKernel

        network = HarmonicKernel(load_file(bundle.path("weights.safetensors")), bundle.network, threads=threads)
    return HarmonicCodec(bundle, network, lambda: _gradient(bundle), lambda: _keys(bundle), threads=threads)


def _gradient(bundle: Bundle) -> Differentiable:
    """The harmonic decoder for codes to be refined by, the same under every runtime."""
    from safetensors.numpy import load_file

    from .kernel_vjp import HarmonicGradient

    return HarmonicGradient(load_file(bundle.path("weights.safetensors")), bundle.network)


def _keys(bundle: Bundle) -> Transposition | None:
    """What says codes of other keys, the same under every runtime; None for a model without it. Raises BundleError."""
    from ..codecs.transposition import FILE, Transposition

    if not bundle.has(FILE):
        return None
    from safetensors.numpy import load_file

    return Transposition(load_file(bundle.path(FILE)))


def _wavenet(bundle: Bundle, runtime: str, threads: int | None, device: str, precision: str) -> Codec:
    from ..codecs.wavenet import WaveNetCodec, WaveNetNetwork
    from ..nets.wavenet_config import WaveNetConfig

    config = WaveNetConfig.of(bundle.network)
    network: WaveNetNetwork
    if runtime == "onnx":
        from .onnx import WaveNetOnnx

        condition, step = _graph(bundle, "condition"), _graph(bundle, "step")
        encoder = None if config.guide else _graph(bundle, "encoder")
        network = WaveNetOnnx(encoder, condition, step, config, device=device, threads=threads)
    elif runtime == "torch":
        from .torch import WaveNetTorch

        weights = bundle.path("weights.safetensors")
        network = WaveNetTorch(weights, config, device=device, threads=threads, precision=precision)
    else:
        from .kernel_wavenet import Tensors, WaveNetKernel

        loaded = Tensors(bundle.path("weights.safetensors"))
        network = WaveNetKernel(loaded, config, threads=threads, precision=precision)
    if guided := bundle.guide():
        # What they import takes half a second, which a network without a guide does not need.
        from ..codecs.guided import GuidedCodec
        from ..dsp import guide

        voice = _harmonic(guided, runtime, threads, device)
        if (config.bands, config.source, config.dims, config.head) != (guide.BANDS, guide.SOURCE, guide.TOLD, "levels"):
            raise BundleError(f"model {bundle.name} hears another guide than this version has; update nsynth-instrument")
        return GuidedCodec(bundle, network, voice)
    return WaveNetCodec(bundle, network)


def _spectral(bundle: Bundle, runtime: str, threads: int | None, device: str) -> Codec:
    from ..codecs.spectral import PublishedCodec, SpectralCodec, SpectralNetwork
    from ..nets.spectral_config import SpectralConfig

    config = SpectralConfig.of(bundle.network)
    network: SpectralNetwork
    if runtime == "onnx":
        from .onnx import Halves

        network = Halves(_graph(bundle, "encoder"), _graph(bundle, "decoder"), device=device, threads=threads)
    elif runtime == "torch":
        from .torch import spectral

        network = spectral(bundle.path("weights.safetensors"), config, device=device)
    else:
        from safetensors.numpy import load_file

        from .kernel_spectral import kernel

        network = kernel(load_file(bundle.path("weights.safetensors")), config)
    return (PublishedCodec if config.form == "nfft_1024" else SpectralCodec)(bundle, network, threads=threads)
