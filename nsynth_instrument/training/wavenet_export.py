"""A trained WaveNet as the files of a bundle."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..nets.wavenet import Decoder, WaveNet, build, draw, heard
from ..nets.wavenet_config import WaveNetConfig
from . import graphs
from .graphs import graph


class _Step(torch.nn.Module):
    """One step of generation with its sampling: everything stays where the session runs."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self,
        recent: Tensor,
        condition: Tensor,
        source: Tensor,
        noise: Tensor,
        index: Tensor,
        temperature: Tensor,
        past: list[Tensor],
    ) -> tuple[Tensor, ...]:
        """Drawn bands (batch, bands), the next `recent`, and each layer's input to keep.

        recent (batch, kernel * bands); condition (batch, rows); source (batch, steps, source) and noise (batch,
        steps, bands) of a whole frame, of which `index` is the step; past: kernel - 1 kept inputs of each layer.
        """
        at, config = index.reshape(1), self.decoder.config
        width = config.kernel - 1
        inputs = torch.cat([recent, source.index_select(1, at)[:, 0]], dim=1)
        kept = [past[i * width : (i + 1) * width] for i in range(config.layers)]
        said, now = self.decoder.step(inputs, condition, kept)
        drawn = draw(said, noise.index_select(1, at)[:, 0], temperature, config)
        return (drawn, torch.cat([recent[:, config.bands :], heard(drawn, config)], dim=1), *now)


def contents(weights: Mapping[str, Tensor], config: WaveNetConfig, *, half: bool = True) -> dict[str, bytes]:
    """Files by name: `weights.safetensors`, `encoder.onnx` (not of a guided one), `condition.onnx`, `step.onnx`.

    They are exact without `half`.
    """
    net = build(config)
    # The graphs get what the file holds: one set of weights, rounded once.
    net.load_state_dict({k: v.to(torch.float16).float() if half else v for k, v in weights.items()})
    net.eval()
    blank, c = torch.zeros, config
    rows = net.decoder.condition.out_features
    inputs: dict[str, Tensor | list[Tensor]] = {
        "recent": blank(2, c.kernel * c.bands),
        "condition": blank(2, rows),
        "source": blank(2, c.steps, c.source),
        "noise": blank(2, c.steps, c.bands),
        "index": torch.tensor(0),
        "temperature": torch.tensor(1.0),
        "past": [blank(2, c.width) for _ in range(c.layers * (c.kernel - 1))],
    }
    outputs = ["drawn", "recent_next", *(f"kept_{i}" for i in range(c.layers))]
    encoder = {}
    if isinstance(net, WaveNet):
        encoder["encoder.onnx"] = graph(net.encoder, {"signal": blank(2, 3 * c.steps, c.bands)}, "codes", half=half)
    return {
        "weights.safetensors": graphs.weights(net, half=half),
        **encoder,
        "condition.onnx": graph(net.decoder.condition, {"input": blank(2, c.conditions)}, "folded", free=1, half=half),
        "step.onnx": graph(_Step(net.decoder), inputs, outputs, free=1, half=half),
    }
