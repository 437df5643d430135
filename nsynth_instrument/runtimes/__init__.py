"""Where a decoder runs: our own CPU kernel, ONNX Runtime, or PyTorch. NumPy in, NumPy out, no noise of their own."""

from __future__ import annotations

from ..bundle import Bundle
from ..codecs import Codec
from ..errors import BundleError, UnknownName, UsageError

RUNTIMES = ("kernel", "onnx", "torch")
DEVICES = ("auto", "cpu", "cuda")


def open_codec(bundle: Bundle, runtime: str = "auto", *, threads: int | None = None, device: str = "auto") -> Codec:
    """The bundle's codec on a runtime. `auto` takes CUDA where torch or ONNX Runtime has it and it is asked for, else the kernel.

    Raises UnknownName for another runtime or device, MissingExtra where the runtime's packages are not
    installed, DeviceError where a GPU is asked for and missing, BundleError where the model is damaged.
    """
    if runtime not in ("auto", *RUNTIMES):
        raise UnknownName("runtime", runtime, ("auto", *RUNTIMES))
    if device not in DEVICES:
        raise UnknownName("device", device, DEVICES)
    if runtime == "auto":
        runtime = "torch" if device == "cuda" else "kernel"
    if runtime == "kernel" and device == "cuda":
        raise UsageError("the kernel runs on the CPU alone; take --runtime torch or --runtime onnx for a GPU")
    if bundle.kind == "harmonic":
        return _harmonic(bundle, runtime, threads, device)
    raise BundleError(f"model {bundle.name} is of kind {bundle.kind}, which this version cannot run; update nsynth-instrument")


def _harmonic(bundle: Bundle, runtime: str, threads: int | None, device: str) -> Codec:
    from ..codecs.harmonic import HarmonicCodec, HarmonicNetwork

    network: HarmonicNetwork
    if runtime == "onnx":
        from .onnx import HarmonicOnnx

        network = HarmonicOnnx(bundle.path("encoder.onnx"), bundle.path("decoder.onnx"), device=device, threads=threads)
    elif runtime == "torch":
        from .torch import HarmonicTorch

        network = HarmonicTorch(bundle.path("weights.safetensors"), dict(bundle.network), device=device)
    else:
        from safetensors.numpy import load_file

        from .kernel_harmonic import HarmonicKernel

        network = HarmonicKernel(load_file(bundle.path("weights.safetensors")), bundle.network)
    return HarmonicCodec(bundle, network, threads=threads)
