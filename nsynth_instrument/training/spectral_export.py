"""A trained or imported spectral autoencoder as the files of a bundle."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..dsp.spectra import BINS, COLUMNS, LATENT
from ..dsp.timbre import COND
from ..nets.spectral import Frames, Published, build
from ..nets.spectral_config import SpectralConfig
from . import graphs
from .graphs import graph


class _Encoder(torch.nn.Module):
    def __init__(self, net: Frames) -> None:
        super().__init__()
        self.net = net

    def forward(self, heard: Tensor, told: Tensor) -> Tensor:
        return self.net.encode(heard, told)


class _Decoder(torch.nn.Module):
    def __init__(self, net: Frames) -> None:
        super().__init__()
        self.net = net

    def forward(self, codes: Tensor, told: Tensor, told_fast: Tensor, number: Tensor, comb: Tensor) -> Tensor:
        return self.net.decode(codes, told, told_fast, number, comb)


class _PublishedEncoder(torch.nn.Module):
    def __init__(self, net: Published) -> None:
        super().__init__()
        self.net = net

    def forward(self, heard: Tensor) -> Tensor:
        return self.net.encode(heard)


class _PublishedDecoder(torch.nn.Module):
    def __init__(self, net: Published) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor, pitch: Tensor) -> Tensor:
        return self.net.decode(z, pitch)


def contents(weights: Mapping[str, Tensor], config: SpectralConfig) -> dict[str, bytes]:
    """Files by name: `weights.safetensors`, `encoder.onnx`, `decoder.onnx`; float16, but the published network's exact."""
    net, blank = build(config), torch.zeros
    half = isinstance(net, Frames)
    # The graphs get what the file holds: one set of weights, rounded once.
    net.load_state_dict({k: v.to(torch.float16).float() if half else v for k, v in weights.items()}, strict=half)
    net.eval()
    if isinstance(net, Published):
        return {
            "weights.safetensors": graphs.weights(net, half=False),
            "encoder.onnx": graph(_PublishedEncoder(net), {"heard": blank(2, BINS - 1, COLUMNS)}, "z", free=1, half=False),
            "decoder.onnx": graph(
                _PublishedDecoder(net), {"z": blank(2, LATENT), "pitch": torch.tensor([60, 61])}, "says", free=1, half=False
            ),
        }
    given = {
        "codes": blank(2, 20, 16), "told": blank(2, 20, COND), "told_fast": blank(2, 40, COND), "number": blank(2, BINS),
        "comb": blank(2, BINS),
    }  # fmt: skip
    return {
        "weights.safetensors": graphs.weights(net),
        "encoder.onnx": graph(_Encoder(net), {"heard": blank(2, 40, BINS), "told": blank(2, 40, COND)}, "codes"),
        "decoder.onnx": graph(_Decoder(net), given, "levels", free={"number": 1, "comb": 1}),
    }
