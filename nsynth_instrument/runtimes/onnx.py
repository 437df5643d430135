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


PROVIDERS = {
    "cpu": ("CPU",),
    "cuda": ("CUDA", "CPU"),
    "tensorrt": ("Tensorrt", "CUDA", "CPU"),
    "directml": ("Dml", "CPU"),
    "coreml": ("CoreML", "CPU"),
}
"""Which of ONNX Runtime's execution providers a device means, in the order in which they get a graph's parts."""


def session(path: Path, *, device: str = "auto", threads: int | None = None, graphs: bool = False) -> Any:
    """An InferenceSession on `device`: "auto" (the CPU) or one of PROVIDERS; graphs: as CUDA graphs, where it has them.

    Raises MissingExtra without onnxruntime, NsynthError where two of its distributions are installed over each
    other, DeviceError where a device is asked for and the session did not get it, BundleError for a graph that
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
    names = [f"{name}ExecutionProvider" for name in PROVIDERS["cpu" if device == "auto" else device]]
    offered = ort.get_available_providers()
    if names[0] not in offered:
        cure = f"install the ONNX Runtime that has it ({_DISTRIBUTIONS[device]})"
        raise DeviceError(
            f"{device} was asked for and this ONNX Runtime lacks it (it offers {', '.join(offered)}); {cure}, or use --device cpu"
        )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    if device == "directml":
        # It can neither reuse memory by pattern nor run nodes side by side.
        options.enable_mem_pattern = False
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    special = {"CUDA": {"enable_cuda_graph": "1"}, "Tensorrt": {"trt_cuda_graph_enable": "1"}} if graphs else {}
    wanted = [(name, special.get(name.removesuffix("ExecutionProvider"), {})) for name in names if name in offered]
    try:
        made = ort.InferenceSession(str(path), options, providers=wanted)
    except Exception as e:  # onnxruntime raises classes of its own for every damage
        raise BundleError(f"{path} cannot be loaded by ONNX Runtime ({str(e).splitlines()[0]}); export the model again") from e
    if names[0] not in made.get_providers():
        raise DeviceError(f"{device} was asked for and did not start; check the driver with nvidia-smi, or use --device cpu")
    return made


_DISTRIBUTIONS = {
    "cuda": "pip uninstall -y onnxruntime && pip install 'nsynth-instrument[gpu]'",
    "tensorrt": "pip uninstall -y onnxruntime && pip install 'nsynth-instrument[gpu]', and NVIDIA's TensorRT",
    "directml": "pip uninstall -y onnxruntime && pip install onnxruntime-directml, on Windows",
    "coreml": "pip install onnxruntime, on a Mac",
}


def memory(made: Any) -> str:
    """Where a session wants its inputs, as ONNX Runtime names it."""
    first = made.get_providers()[0].removesuffix("ExecutionProvider")
    return {"CUDA": "cuda", "Tensorrt": "cuda", "Dml": "dml"}.get(first, "cpu")


def label(made: Any) -> str:
    """What a session runs on, for people: `onnx (CPU)`."""
    return f"onnx ({made.get_providers()[0].removesuffix('ExecutionProvider')})"


def _installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


class Halves:
    """`HarmonicNetwork` or `SpectralNetwork` over two exported graphs."""

    together = 0

    def __init__(self, encoder: Path, decoder: Path, *, device: str = "auto", threads: int | None = None) -> None:
        self._encoder = session(encoder, device=device, threads=threads)
        self._decoder = session(decoder, device=device, threads=threads)
        self.runtime = label(self._decoder)

    def encode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See the network's protocol."""
        return _run(self._encoder, arrays)

    def decode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See the network's protocol."""
        return _run(self._decoder, arrays)


def _run(made: Any, arrays: Sequence[npt.NDArray[Any]]) -> Floats:
    """The first output of a graph whose inputs stand in the order of `arrays`."""
    return np.asarray(made.run(None, {i.name: a for i, a in zip(made.get_inputs(), arrays, strict=True)})[0])


class WaveNetOnnx:
    """`WaveNetNetwork` over the graph of one step, sampling included.

    Nothing leaves the device within a code frame: the state is bound as input and as output at once, so a step changes it
    where it lies, and all that a frame needs is there before it. Batches are padded to a power of two, so that
    few shapes occur, and with CUDA each is captured as a CUDA graph at its first step. how: whether that is so.
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
        graphs: bool = True,
    ) -> None:
        """encoder: none where the network is guided; graphs: CUDA graphs, where the device has them."""
        self._encoder = session(encoder, device=device, threads=threads) if encoder else None
        self._condition = session(condition, device=device, threads=threads)
        self.how = "CUDA graph" if graphs and device in ("cuda", "tensorrt") else "step by step"
        try:
            self._step = session(step, device=device, threads=threads, graphs=graphs)
        except BundleError as e:
            if self.how == "step by step":
                raise
            # It wants all of the graph on the GPU, which not every version of it does.
            self._step, self.how = session(step, device=device, threads=threads), f"step by step: {e}"
        self.config, self.bands = config, config.bands
        self.runtime = label(self._step)
        self._bounds: dict[int, _Bound] = {}

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
        c = self.config
        batch, frames, _ = codes.shape
        levels = c.head == "levels"
        told = c.conditioning(codes, pitch, velocity)
        out = np.zeros((batch, frames * c.steps, c.bands), np.float32 if levels else np.uint8)
        source = np.zeros((batch, frames * c.steps, 0), np.float32) if source is None else source
        padded = 1 << (batch - 1).bit_length()
        if padded not in self._bounds:
            self._bounds[padded] = _Bound(self._step, padded, c, self._condition.get_outputs()[0].shape[1])
        bound = self._bounds[padded]
        bound.reset()
        bound.put("temperature", np.array(max(temperature, 1e-3), np.float32))
        for frame in range(frames):
            span = slice(frame * c.steps, (frame + 1) * c.steps)
            bound.put("condition", self._condition.run(None, {"input": np.ascontiguousarray(told[:, frame])})[0])
            bound.put("source", source[:, span])
            bound.put("noise", noise[:, span])
            for t in range(span.start, span.stop):
                if follow is not None:
                    bound.put("recent", _past(follow, t, c.kernel, levels))
                bound.step(t)
            out[:, span] = bound.drawn()[:, :batch].transpose(1, 0, 2)
        return out


class _Bound:
    """A step's inputs and outputs, bound once; rows beyond the batch that is put are padding."""

    def __init__(self, session: Any, batch: int, config: WaveNetConfig, rows: int) -> None:
        import onnxruntime as ort

        c, self._session, place = config, session, memory(session)
        shapes: dict[str, tuple[int, ...]] = {
            "recent": (batch, c.kernel * c.bands),
            "drawn": (c.steps, batch, c.bands),
            "condition": (batch, rows),
            "source": (batch, c.steps, c.source),
            "noise": (batch, c.steps, c.bands),
            "temperature": (),
            # One place more than the delay: what a step writes is never what it reads.
            **{f"ring_{i}": ((c.kernel - 1) * d + 1, batch, c.width) for i, d in enumerate(c.dilations)},
        }
        self._blank = {name: np.zeros(shape, np.float32) for name, shape in shapes.items() if not name.startswith("ring_")}
        self._there = {n: ort.OrtValue.ortvalue_from_numpy(np.zeros(s, np.float32), place, 0) for n, s in shapes.items()}
        self._there["step"] = ort.OrtValue.ortvalue_from_numpy(np.zeros((), np.int64), place, 0)
        self._binding = session.io_binding()
        unknown = {i.name for i in session.get_inputs()} - self._there.keys()
        if unknown:
            names = ", ".join(sorted(unknown)[:3])
            raise BundleError(f"the model's step asks for {names}, as other versions' do; export or import the model again")
        # What a network does not hear is no input of its graph.
        for name in {i.name for i in session.get_inputs()}:
            self._binding.bind_ortvalue_input(name, self._there[name])
        for name in (o.name for o in session.get_outputs()):
            self._binding.bind_ortvalue_output(name, self._there[name.replace("_next", "")])
        # A CUDA graph belongs to its buffers: another batch's has another number.
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", str(batch))

    def reset(self) -> None:
        """Silence before the first step."""
        for name, value in self._there.items():
            if name == "recent" or name.startswith("ring_"):
                value.update_inplace(np.zeros(value.shape(), np.float32))

    def put(self, name: str, rows: npt.NDArray[Any]) -> None:
        """Set an input's first rows."""
        whole = self._blank[name]
        if whole.ndim:
            whole[: len(rows)] = rows
        else:
            whole[()] = rows
        self._there[name].update_inplace(whole)

    def step(self, number: int) -> None:
        """One step, counted from the notes' begin."""
        self._there["step"].update_inplace(np.array(number, np.int64))
        self._session.run_with_iobinding(self._binding, self._options)

    def drawn(self) -> Floats:
        """What was drawn in the frame's steps: (steps, batch, bands), classes as whole numbers."""
        return np.asarray(self._there["drawn"].numpy())


def _past(follow: npt.NDArray[Any], step: int, kernel: int, levels: bool) -> Floats:
    """How classes or levels (batch, steps, bands) are heard, (batch, kernel * bands), oldest first, silence before the first."""
    out = np.zeros((len(follow), kernel, follow.shape[2]), np.float32)
    there = follow[:, max(0, step - kernel) : step]
    out[:, kernel - there.shape[1] :] = heard(there) if levels else companded(there)
    return out.reshape(len(follow), -1)
