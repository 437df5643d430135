"""ONNX Runtime: sessions that say what they really run on. onnxruntime lives here and nowhere else."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dsp.guide import companded as heard
from ..dsp.mulaw import companded
from ..errors import BundleError, DeviceError, MissingExtra, NsynthError
from ..nets.wavenet_config import WaveNetConfig

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


class SpectralOnnx:
    """`SpectralNetwork` over two exported graphs."""

    def __init__(self, encoder: Path, decoder: Path, *, device: str = "auto", threads: int | None = None) -> None:
        self._encoder = session(encoder, device=device, threads=threads)
        self._decoder = session(decoder, device=device, threads=threads)
        self.runtime = label(self._decoder)

    def encode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See `SpectralNetwork.encode`."""
        return _run(self._encoder, arrays)

    def decode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See `SpectralNetwork.decode`."""
        return _run(self._decoder, arrays)


def _run(made: Any, arrays: Sequence[npt.NDArray[Any]]) -> Floats:
    """The first output of a graph whose inputs stand in the order of `arrays`."""
    return np.asarray(made.run(None, {i.name: a for i, a in zip(made.get_inputs(), arrays, strict=True)})[0])


class WaveNetOnnx:
    """`WaveNetNetwork` over the graph of one step, sampling included.

    The state never leaves the device: each layer's past inputs are arrays of their own, and the graph is bound to
    those that the step reads and writes.
    """

    batch = 64

    def __init__(
        self,
        encoder: Path | None,
        condition: Path,
        step: Path,
        config: WaveNetConfig,
        *,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        """encoder: none where the network is guided."""
        self._encoder = session(encoder, device=device, threads=threads) if encoder else None
        self._condition, self._step = (session(p, device=device, threads=threads) for p in (condition, step))
        self._config, self.bands = config, config.bands
        self.runtime = label(self._step)
        self._device = "cuda" if "CUDAExecutionProvider" in self._step.get_providers() else "cpu"

    def encode(self, signal: Floats) -> Floats:
        """See `WaveNetNetwork.encode`."""
        assert self._encoder is not None, "a guided network's codes are its guide's"
        return np.asarray(self._encoder.run(None, {"signal": signal})[0])

    def decode(
        self,
        codes: Floats,
        pitch: npt.NDArray[Any],
        velocity: npt.NDArray[Any],
        noise: Floats,
        *,
        source: Floats | None = None,
        follow: npt.NDArray[Any] | None = None,
        temperature: float = 1.0,
    ) -> npt.NDArray[Any]:
        """See `WaveNetNetwork.decode`."""
        c = self._config
        batch, frames, _ = codes.shape
        told = c.conditioning(codes, pitch, velocity)
        heat = self._there(np.array(max(temperature, 1e-3), np.float32))
        steps = [self._there(np.array(i)) for i in range(c.steps)]
        # One place more than the delay: what a step writes is never what it reads.
        places = [(c.kernel - 1) * d + 1 for d in c.dilations]
        rings = [[self._there(np.zeros((batch, c.width), np.float32)) for _ in range(n)] for n in places]
        heard = [self._there(np.zeros((batch, c.kernel * c.bands), np.float32)) for _ in range(2)]
        levels = c.head == "levels"
        drawn = [self._there(np.zeros((batch, c.bands), np.float32 if levels else np.int64)) for _ in range(c.steps)]
        out = np.zeros((batch, frames * c.steps, c.bands), np.float32 if levels else np.uint8)
        source = np.zeros((batch, frames * c.steps, 0), np.float32) if source is None else source
        bound = self._step.io_binding()
        for frame in range(frames):
            span = slice(frame * c.steps, (frame + 1) * c.steps)
            fixed = {
                "condition": self._there(self._condition.run(None, {"input": np.ascontiguousarray(told[:, frame])})[0]),
                "source": self._there(np.ascontiguousarray(source[:, span])),
                "noise": self._there(np.ascontiguousarray(noise[:, span])),
                "temperature": heat,
            }
            for name, value in fixed.items():
                bound.bind_ortvalue_input(name, value)
            for i, t in enumerate(range(span.start, span.stop)):
                if follow is not None:
                    heard[t % 2] = self._there(_past(follow, t, c.kernel, levels))
                bound.bind_ortvalue_input("index", steps[i])
                bound.bind_ortvalue_input("recent", heard[t % 2])
                bound.bind_ortvalue_output("drawn", drawn[i])
                bound.bind_ortvalue_output("recent_next", heard[(t + 1) % 2])
                at = 0
                for layer, (ring, d) in enumerate(zip(rings, c.dilations, strict=True)):
                    for k in range(c.kernel - 1, 0, -1):
                        bound.bind_ortvalue_input(f"past_{at}", ring[(t - k * d) % len(ring)])
                        at += 1
                    bound.bind_ortvalue_output(f"kept_{layer}", ring[t % len(ring)])
                self._step.run_with_iobinding(bound)
            out[:, span] = np.stack([d.numpy() for d in drawn], axis=1)
        return out

    def _there(self, array: npt.NDArray[Any]) -> Any:
        """The array where the session runs; on a CPU it is the array itself, not a copy."""
        import onnxruntime as ort

        return ort.OrtValue.ortvalue_from_numpy(array, self._device, 0)


def _past(follow: npt.NDArray[Any], step: int, kernel: int, levels: bool) -> Floats:
    """How classes or levels (batch, steps, bands) are heard, (batch, kernel * bands), oldest first, silence before the first."""
    out = np.zeros((len(follow), kernel, follow.shape[2]), np.float32)
    there = follow[:, max(0, step - kernel) : step]
    out[:, kernel - there.shape[1] :] = heard(there) if levels else companded(there)
    return out.reshape(len(follow), -1)
