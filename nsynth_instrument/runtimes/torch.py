"""PyTorch: the networks as they were trained, on the CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError, DeviceError, MissingExtra
from ..nets.spectral_config import SpectralConfig
from ..nets.wavenet_config import WaveNetConfig

if TYPE_CHECKING:
    import torch

    from .torch_frame import Frame

Floats = npt.NDArray[np.float32]
Said = npt.NDArray[Any]


def pick_device(wanted: str) -> torch.device:
    """CUDA where it is there and not declined.

    Raises MissingExtra without torch, DeviceError where CUDA is asked for and missing.
    """
    try:
        import torch
    except ImportError as e:
        raise MissingExtra("the torch runtime", "gpu") from e
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"a GPU was asked for and PyTorch {torch.__version__} sees none; check nvidia-smi and install a CUDA build "
            "of torch, or use --device cpu"
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


class Halves:
    """`HarmonicNetwork` or `SpectralNetwork` over the network itself."""

    together = 0

    def __init__(self, net: torch.nn.Module, weights: Path, *, device: str = "auto") -> None:
        """Raises BundleError for another network's weights."""
        self._device = pick_device(device)
        self._net = _loaded(net, weights).to(self._device)
        self.runtime = f"torch ({self._device.type.upper()})"

    def encode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See the network's protocol."""
        return self._run("encode", arrays)

    def decode(self, *arrays: npt.NDArray[Any]) -> Floats:
        """See the network's protocol."""
        return self._run("decode", arrays)

    def _run(self, half: str, arrays: Sequence[npt.NDArray[Any]]) -> Floats:
        import torch

        with torch.inference_mode():
            made = getattr(self._net, half)(*(torch.from_numpy(a).to(self._device) for a in arrays))
            return np.asarray(made.cpu().numpy())


def harmonic(weights: Path, config: Mapping[str, Any], *, device: str = "auto") -> Halves:
    """The harmonic network of a configuration. Raises as `Halves`, and MissingExtra without torch."""
    pick_device(device)
    from ..nets.harmonic import Harmonic, HarmonicConfig

    try:
        shape = HarmonicConfig.from_dict(dict(config))
    except TypeError as e:
        raise BundleError(f"the network has settings that this version does not know ({e}); update nsynth-instrument") from e
    return Halves(Harmonic(shape), weights, device=device)


def spectral(weights: Path, config: SpectralConfig, *, device: str = "auto") -> Halves:
    """The spectral network of a configuration. Raises as `Halves`, and MissingExtra without torch."""
    pick_device(device)
    from ..nets.spectral import build

    return Halves(build(config), weights, device=device)


def _loaded(net: torch.nn.Module, weights: Path) -> torch.nn.Module:
    """The network with the weights of a file, in float32. Raises BundleError where they are another's."""
    from safetensors.torch import load_file

    other = f"{weights} holds another network than its manifest says; export the model again"
    try:
        missing, foreign = net.load_state_dict({k: v.float() for k, v in load_file(weights).items()}, strict=False)
    except RuntimeError as e:
        raise BundleError(other) from e
    # What norms count while they are trained is in no file.
    if foreign or any(not name.endswith("num_batches_tracked") for name in missing):
        raise BundleError(other)
    return net.eval()


class WaveNetTorch:
    """`WaveNetNetwork` over the network itself: parallel where the past is given, else a step at a time.

    how: whether a frame's steps are one CUDA graph, or why not, once something was decoded.
    """

    batch = 256

    def __init__(
        self, weights: Path, config: WaveNetConfig, *, device: str = "auto", threads: int | None = None, precision: str = "auto"
    ) -> None:
        """precision: of weights and activations; "auto" is float32. Sums of the logits, and drawing, are float32 always."""
        self._device = pick_device(device)
        import torch

        from ..nets.wavenet import build

        if threads:
            torch.set_num_threads(threads)
        self._net = build(config)
        _loaded(self._net, weights)
        self._kind = torch.bfloat16 if precision == "bf16" else torch.float32
        self._net.to(self._device, self._kind)
        self.bands, self.config, self.how = config.bands, config, ""
        self.runtime = f"torch ({self._device.type.upper()}{', bf16' if precision == 'bf16' else ''})"
        self._frame: Frame | None = None

    def encode(self, signal: Floats) -> Floats:
        """See `WaveNetNetwork.encode`."""
        import torch

        from ..nets.wavenet import WaveNet

        assert isinstance(self._net, WaveNet), "a guided network's codes are its guide's"
        with torch.inference_mode():
            codes: torch.Tensor = self._net.encoder(torch.from_numpy(signal).to(self._device, self._kind))
            return np.asarray(codes.float().cpu().numpy())

    def decode(
        self,
        codes: Floats,
        pitch: npt.NDArray[Any],
        velocity: npt.NDArray[Any],
        noise: Floats,
        *,
        source: Floats | None = None,
        follow: Said | None = None,
        temperature: float = 1.0,
    ) -> Said:
        """See `WaveNetNetwork.decode`."""
        import torch

        from ..nets.wavenet import draw, heard

        c = self.config
        if source is None:
            source = np.zeros((len(codes), codes.shape[1] * c.steps, 0), np.float32)
        told, heat = c.conditioning(codes, pitch, velocity), max(temperature, 1e-3)
        with torch.inference_mode():
            if follow is None:
                return self._generate(told, source, noise, heat)
            past = heard(torch.from_numpy(follow).to(self._device), c)
            given = (x.to(self._device, self._kind) for x in (past, torch.from_numpy(source), torch.from_numpy(told)))
            said = self._net.decoder(*given).float()
            warm = torch.tensor(heat, device=self._device)
            return self._numpy(draw(said, torch.from_numpy(noise).to(self._device), warm, c))

    def _generate(self, told: Floats, source: Floats, noise: Floats, heat: float) -> Said:
        """A code frame at a time: what a frame needs from outside is brought to the device once."""
        import torch

        from .torch_frame import Frame

        c, batch = self.config, len(told)
        if self._frame is None or self._frame.batch != batch:
            self._frame = None  # gives its memory back first
            self._frame = Frame(self._net.decoder, batch, self._device)
        frame, out = self._frame, []
        self.how = frame.how
        frame.reset()
        frame.heat.fill_(heat)
        for number in range(told.shape[1]):
            span = slice(number * c.steps, (number + 1) * c.steps)
            for place, x in ((frame.told, told[:, number]), (frame.source, source[:, span]), (frame.noise, noise[:, span])):
                place.copy_(torch.from_numpy(np.ascontiguousarray(x)))
            frame.play(number)
            out.append(self._numpy(frame.drawn.transpose(0, 1)))
        return np.concatenate(out, axis=1)

    def _numpy(self, drawn: torch.Tensor) -> Said:
        return np.array(drawn.cpu().numpy(), np.float32 if self.config.head == "levels" else np.uint8)
