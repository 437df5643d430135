"""PyTorch: the networks as they were trained, on the CPU or a CUDA device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError, DeviceError, MissingExtra

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float32]


def pick_device(wanted: str) -> torch.device:
    """CUDA where it is there and not declined. Raises MissingExtra without torch, DeviceError where CUDA is asked for and missing."""
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


class HarmonicTorch:
    """`HarmonicNetwork` over the network itself."""

    def __init__(self, weights: Path, config: dict[str, Any], *, device: str = "auto") -> None:
        self._device = pick_device(device)
        from safetensors.torch import load_file

        from ..nets.harmonic import Harmonic, HarmonicConfig

        self._net = Harmonic(HarmonicConfig.from_dict(config))
        try:
            self._net.load_state_dict({k: v.float() for k, v in load_file(weights).items()})
        except RuntimeError as e:
            raise BundleError(f"{weights} holds another network than its manifest says; export the model again") from e
        self._net.eval().to(self._device)
        self.runtime = f"torch ({self._device.type.upper()})"

    def encode(self, heard: Floats, told: Floats) -> Floats:
        """See `HarmonicNetwork.encode`."""
        return self._run(self._net.encode, heard, told)

    def decode(self, codes: Floats, told: Floats, told_fast: Floats) -> Floats:
        """See `HarmonicNetwork.decode`."""
        return self._run(self._net.decode, codes, told, told_fast)

    def _run(self, half: Any, *arrays: Floats) -> Floats:
        import torch

        with torch.inference_mode():
            return np.asarray(half(*(torch.from_numpy(a).to(self._device) for a in arrays)).cpu().numpy())
