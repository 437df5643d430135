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
        drawn: Tensor,
        condition: Tensor,
        source: Tensor,
        noise: Tensor,
        step: Tensor,
        temperature: Tensor,
        ring: list[Tensor],
    ) -> tuple[Tensor, ...]:
        """The next `recent`, `drawn` and rings: each may lie where it lay, for no place that is written was to be read yet.

        recent (batch, kernel * bands); drawn (steps, batch, bands) of a frame, of which this step's are set; condition (batch,
        rows); source (batch, steps, source) and noise (batch, steps, bands) of the frame; step: counted from the notes'
        begin; ring: inputs (places, batch, width) of each layer, one place more than its delay.
        """
        config = self.decoder.config
        at = (step % config.steps).reshape(1)
        inputs = torch.cat([recent, source.index_select(1, at)[:, 0]], dim=1)
        past = [
            [x.index_select(0, ((step - k * d) % len(x)).reshape(1))[0] for k in range(config.kernel - 1, 0, -1)]
            for x, d in zip(ring, config.dilations, strict=True)
        ]
        said, now = self.decoder.step(inputs, condition, past)
        new = draw(said, noise.index_select(1, at)[:, 0], temperature, config)
        return (
            torch.cat([recent[:, config.bands :], heard(new, config)], dim=1),
            drawn.index_put((at,), new.to(drawn.dtype)[None]),
            *(x.index_put(((step % len(x)).reshape(1),), n[None]) for x, n in zip(ring, now, strict=True)),
        )


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
        "drawn": blank(c.steps, 2, c.bands),
        "condition": blank(2, rows),
        "source": blank(2, c.steps, c.source),
        "noise": blank(2, c.steps, c.bands),
        "step": torch.tensor(0),
        "temperature": torch.tensor(1.0),
        "ring": [blank((c.kernel - 1) * d + 1, 2, c.width) for d in c.dilations],
    }
    free = {**dict.fromkeys(inputs, (0,)), "drawn": (1,), "ring": (1,), "step": (), "temperature": ()}
    outputs = ["recent_next", "drawn_next", *(f"ring_next_{i}" for i in range(c.layers))]
    encoder = {}
    if isinstance(net, WaveNet):
        encoder["encoder.onnx"] = graph(net.encoder, {"signal": blank(2, 3 * c.steps, c.bands)}, "codes", half=half)
    return {
        "weights.safetensors": graphs.weights(net, half=half),
        **encoder,
        "condition.onnx": graph(net.decoder.condition, {"input": blank(2, c.conditions)}, "folded", free=1, half=half),
        "step.onnx": graph(_Step(net.decoder), inputs, outputs, free=free, half=half),
    }
