"""The WaveNet's encoder on the CPU kernel: its weights packed, sounds given to a team of threads, codes made of their sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from ..nets.wavenet_config import WaveNetConfig
from .kernel_sections import SPAN, Net, Own, layers, sections
from .kernel_simd import ROWS, aligned, in_blocks, narrowed, pack, stacked, whole
from .kernel_team import board, reset
from .kernel_tiles import INPUTS

Floats = npt.NDArray[np.float32]

WIDEST = 16
"""The greatest dilation of layers that go together, in the least of them."""

class Encoder:
    """Codes of signals, each worked on by all threads."""

    def __init__(self, w: Mapping[str, Floats], config: WaveNetConfig, *, bf16: bool, tiles: bool = False) -> None:
        self.config, self.bf16 = config, bf16
        c, layers = config, range(config.encoder_layers)
        groups = _groups(c.encoder_dilations)
        # A plane is what a product makes at once: half a block by tiles.
        self._wide = INPUTS if tiles else ROWS
        self._planes = whole(c.encoder_width) // self._wide

        def packed(name: str, planes: int, wide: int, taps: int = 1) -> npt.NDArray[Any]:
            weight = w[f"{name}.weight"].reshape(c.encoder_width, taps, -1)
            weight = np.pad(weight, ((0, 0), (0, 0), (0, planes * wide - weight.shape[2])))
            return pack(weight.reshape(c.encoder_width, taps * planes, wide), bf16=bf16, tiles=tiles)

        self._bottleneck = w["bottleneck.weight"], w["bottleneck.bias"]
        biases = [np.zeros(c.encoder_width, np.float32), *(w[f"residual.{i}.bias"] for i in layers)]
        self._net = Net(
            start=packed("start", -(-3 * c.bands // INPUTS), INPUTS) if tiles else packed("start", 1, 3 * c.bands),
            start_bias=in_blocks(w["start.bias"]),
            dilated=stacked([packed(f"dilated.{i}", self._planes, self._wide, 3) for i in layers]),
            dilated_bias=in_blocks(np.stack([w[f"dilated.{i}.bias"] for i in layers])),
            residual=stacked([packed(f"residual.{i}", self._planes, self._wide) for i in layers]),
            shift=in_blocks(np.cumsum(biases, axis=0)),
            groups=np.array(groups, np.int64),
            dilations=np.concatenate([np.array(c.encoder_dilations[a:b]) // apart for a, b, apart in groups]),
        )
        self._beyond = max(int(self._net.dilations[a:b].sum()) for a, b, _ in groups)

    def _own(self) -> Own:
        item = np.uint16 if self.bf16 else np.float32
        planes = self._planes
        together = max(b - a for a, b, _ in self._net.groups)
        # Planes lie an odd number of lines apart, or they would compete for the same places of the caches.
        room = (SPAN + max(self._beyond, 2 * int(self._net.dilations.max())) + 63) // 64 * 64 + 4
        return Own(
            x=aligned((planes, room, self._wide), np.float32),
            heard=aligned((together, planes, room, self._wide), item),
            hidden=aligned((planes, SPAN + 4, self._wide), item),
        )

    def __call__(self, signal: Floats, threads: int) -> Floats:
        """Codes (batch, frames, dims) of companded bands (batch, steps, bands)."""
        c = self.config
        crew = board(threads)
        steps, rows = signal.shape[1], self._net.start_bias.shape[0]
        # The three moments that the first convolution hears lie side by side; products may read more than there are.
        heard = aligned((steps + SPAN + INPUTS, c.bands), np.uint16 if self.bf16 else np.float32)
        x = aligned((steps, rows), heard.dtype, empty=True)
        each = [(int(apart), *sections(steps, apart)) for apart in self._net.groups[:, 2]]
        edges = np.zeros((max(a * n for a, n, _ in each), 2, self._beyond, rows), heard.dtype)
        apart, count, section = each[-1]
        sums = np.zeros((apart * count, section * apart // c.steps + 2, rows), np.float32)
        own = [self._own() for _ in range(threads)]
        out = []
        with ThreadPoolExecutor(threads) as pool:
            for one in signal:
                heard[1 : steps + 1] = narrowed(one, self.bf16)
                reset(crew)
                sums[:] = 0
                for share in [pool.submit(layers, self._net, crew, heard, x, edges, sums, c.steps, mine) for mine in own]:
                    share.result()
                total = np.zeros((steps // c.steps + sums.shape[1], rows), np.float32)
                for i, some in enumerate(sums):
                    frame = (i % apart + i // apart * section * apart) // c.steps
                    total[frame : frame + len(some)] += some
                out.append(self._codes(total[: steps // c.steps, : c.encoder_width] / c.steps))
        return np.stack(out)

    def _codes(self, mean: npt.NDArray[Any]) -> Floats:
        """The mean of a frame commutes with the bottleneck, which is linear."""
        c, (weight, bias) = self.config, self._bottleneck
        codes = (mean + self._net.shift[-1, : c.encoder_width]) @ weight.T + bias
        return np.asarray(c.bound * np.tanh(codes / c.bound) if c.bound else codes, dtype=np.float32)


def _groups(dilations: Sequence[int]) -> list[tuple[int, int, int]]:
    """Layers that go together: the first, the one after the last, and the dilation that divides all of theirs."""
    groups: list[tuple[int, int, int]] = []
    begin = 0
    for i in range(1, len(dilations) + 1):
        least = dilations[begin]
        if i == len(dilations) or dilations[i] % least or dilations[i] > WIDEST * least:
            groups.append((begin, i, least))
            begin = i
    return groups
