"""The steps of one WaveNet code frame on buffers that stay where they are: the same on a CPU as on a GPU, which replays
them as one CUDA graph, sampling included."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..nets.wavenet import Decoder, draw, heard

MOST_GRAPHS = 8
"""Graphs of a whole frame that are worth keeping."""


class Frame:
    """Buffers for `batch` notes, and the steps of a frame upon them.

    What comes from outside is copied in before `play`: told (batch, conditions), source (batch, steps, source), noise (batch,
    steps, bands), heat (): the temperature. What is drawn lies in drawn (steps, batch, bands) after it. `how`: "CUDA
    graph", or why not.
    """

    def __init__(self, decoder: Decoder, batch: int, device: torch.device) -> None:
        self.decoder, c = decoder, decoder.config
        kind = decoder.start.weight.dtype

        def blank(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.told, self.heat = blank(batch, c.conditions), blank()
        self.source, self.noise = blank(batch, c.steps, c.source), blank(batch, c.steps, c.bands)
        self.drawn = blank(c.steps, batch, c.bands, dtype=torch.float32 if c.head == "levels" else torch.uint8)
        self._recent = blank(batch, c.kernel * c.bands)
        # As long as the delay: a step's input takes the place of the one that it was the last to hear.
        self._rings = [blank((c.kernel - 1) * d, batch, c.width, dtype=kind) for d in c.dilations]
        self.phases = math.lcm(c.steps, *(len(ring) for ring in self._rings)) // c.steps
        self._graphs: list[torch.cuda.CUDAGraph] = []
        self.how = self._capture(device)

    @property
    def batch(self) -> int:
        """Notes that the buffers hold."""
        return len(self.told)

    @property
    def buffers(self) -> list[Tensor]:
        """All that is kept from step to step or frame to frame."""
        return [self.told, self.heat, self.source, self.noise, self.drawn, self._recent, *self._rings]

    def reset(self) -> None:
        """Silence before the first step."""
        for x in (self._recent, *self._rings):
            x.zero_()

    def play(self, number: int) -> None:
        """The steps of frame `number`, counted from the notes' begin."""
        if self._graphs:
            self._graphs[number % self.phases].replay()
        else:
            self.steps(number % self.phases)

    def steps(self, phase: int) -> None:
        """All steps of a frame. Where things lie in the rings depends on `phase` alone, on no number of the device's."""
        c = self.decoder.config
        kind = self.decoder.start.weight.dtype
        condition = self.decoder.condition(self.told.to(kind))
        source = self.source.to(kind)
        for i in range(c.steps):
            t = phase * c.steps + i
            past = [
                [ring[(t - k * d) % len(ring)] for k in range(c.kernel - 1, 0, -1)]
                for ring, d in zip(self._rings, c.dilations, strict=True)
            ]
            said, kept = self.decoder.step(torch.cat([self._recent.to(kind), source[:, i]], dim=1), condition, past)
            for ring, now in zip(self._rings, kept, strict=True):
                ring[t % len(ring)].copy_(now)
            drawn = draw(said.float(), self.noise[:, i], self.heat, c)
            self.drawn[i].copy_(drawn)
            self._recent.copy_(torch.cat([self._recent[:, c.bands :], heard(drawn, c)], dim=1))

    def _capture(self, device: torch.device) -> str:
        if device.type != "cuda":
            return "step by step: CUDA graphs need a GPU"
        if self.phases > MOST_GRAPHS:
            return f"step by step: the rings are back where they were after {self.phases} frames, too many to capture"
        made: list[torch.cuda.CUDAGraph] = []
        try:
            # What libraries allocate at their first use must not fall into the graph.
            beside: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            beside.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(beside):
                self.steps(0)
            torch.cuda.current_stream(device).wait_stream(beside)
            for phase in range(self.phases):
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=made[0].pool() if made else None):
                    self.steps(phase)
                made.append(graph)
        except RuntimeError as e:
            return f"step by step: {str(e).splitlines()[0]}"
        self._graphs = made
        return "CUDA graph"
