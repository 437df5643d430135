"""ONNX Runtime: sessions that say what they really run on. onnxruntime lives here and nowhere else."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError, DeviceError, MissingExtra, NsynthError

Floats = npt.NDArray[np.float32]


def session(path: Path, *, device: str = "auto", threads: int | None = None) -> Any:
    """An InferenceSession on `device` ("auto", "cpu", "cuda").

    Raises MissingExtra without onnxruntime, NsynthError where two of its distributions are installed over each
    other, DeviceError where CUDA is asked for and the session did not get it, BundleError for a graph that
    cannot be loaded.
    """
    both = [name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)]
    if len(both) == 2:
        raise NsynthError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other; run: "
            "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'nsynth-instrument[cpu]' (or [gpu])"
        )
    try:
        import onnxruntime as ort
    except ImportError as e:
        raise MissingExtra("the onnx runtime", "cpu") from e
    offered = ort.get_available_providers()
    if device == "cuda" and "CUDAExecutionProvider" not in offered:
        raise DeviceError(
            "a GPU was asked for and this ONNX Runtime has none (it offers "
            + ", ".join(offered)
            + "); run: pip uninstall -y onnxruntime && pip install 'nsynth-instrument[gpu]', or use --device cpu"
        )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    wanted = ["CPUExecutionProvider"] if device != "cuda" else ["CUDAExecutionProvider", "CPUExecutionProvider"]
    try:
        made = ort.InferenceSession(str(path), options, providers=wanted)
    except Exception as e:  # onnxruntime raises classes of its own for every damage
        raise BundleError(f"{path} cannot be loaded by ONNX Runtime ({str(e).splitlines()[0]}); export the model again") from e
    if device == "cuda" and "CUDAExecutionProvider" not in made.get_providers():
        raise DeviceError("a GPU was asked for and CUDA did not start; check the driver with nvidia-smi, or use --device cpu")
    return made


def label(made: Any) -> str:
    """What a session runs on, for people: `onnx (CPU)`."""
    return f"onnx ({made.get_providers()[0].removesuffix('ExecutionProvider')})"


def _installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


class HarmonicOnnx:
    """`HarmonicNetwork` over two exported graphs."""

    def __init__(self, encoder: Path, decoder: Path, *, device: str = "auto", threads: int | None = None) -> None:
        self._encoder = session(encoder, device=device, threads=threads)
        self._decoder = session(decoder, device=device, threads=threads)
        self.runtime = label(self._decoder)

    def encode(self, heard: Floats, told: Floats) -> Floats:
        """See `HarmonicNetwork.encode`."""
        return np.asarray(self._encoder.run(None, {"heard": heard, "told": told})[0])

    def decode(self, codes: Floats, told: Floats, told_fast: Floats) -> Floats:
        """See `HarmonicNetwork.decode`."""
        return np.asarray(self._decoder.run(None, {"codes": codes, "told": told, "told_fast": told_fast})[0])
