"""A trained harmonic voice as the files of a bundle."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..dsp.timbre import COND, IN
from ..nets.harmonic import Harmonic, HarmonicConfig
from . import graphs
from .graphs import graph


class _Encoder(torch.nn.Module):
    def __init__(self, net: Harmonic) -> None:
        super().__init__()
        self.net = net

    def forward(self, heard: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        return self.net.encode(heard, told)


class _Decoder(torch.nn.Module):
    def __init__(self, net: Harmonic) -> None:
        super().__init__()
        self.net = net

    def forward(self, codes: torch.Tensor, told: torch.Tensor, told_fast: torch.Tensor) -> torch.Tensor:
        return self.net.decode(codes, told, told_fast)


def contents(weights: Mapping[str, torch.Tensor], config: HarmonicConfig) -> dict[str, bytes]:
    """Files by name: `weights.safetensors` (float16), `encoder.onnx`, `decoder.onnx`. weights: by the network's own names."""
    net = Harmonic(config)
    # The graphs get what the file holds: one set of weights, rounded once.
    net.load_state_dict({k: v.to(torch.float16).float() for k, v in weights.items()})
    net.eval()
    blank = torch.zeros
    return {
        "weights.safetensors": graphs.weights(net),
        "encoder.onnx": graph(_Encoder(net), {"heard": blank(2, 80, IN), "told": blank(2, 80, COND)}, "codes"),
        "decoder.onnx": graph(
            _Decoder(net),
            {"codes": blank(2, 20, 16), "told": blank(2, 20, COND), "told_fast": blank(2, 80, COND)},
            "raw",
        ),
    }
