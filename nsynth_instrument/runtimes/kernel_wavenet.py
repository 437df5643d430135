"""The WaveNet by NumPy and Numba: the base install's own.

Weights are packed once, those of encoder and decoder when each is first used; the taps of a dilated convolution are
read from ring buffers; residuals are added in place; the skips of all layers are one product; conditioning is folded once per
code frame; the last layer's residual, which nothing hears, is left out. A small network's tiles of notes go to threads
of their own; a large one's, whose weights do not fit a cache, are worked on by all threads together, each with some of
the outputs, so that memory is read once for all notes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from ..dsp.mulaw import CLASSES
from ..errors import BundleError, DeviceError
from ..nets.wavenet_config import WaveNetConfig
from .kernel_draw import order
from .kernel_emit import LANES, has_bf16, pairs_pay
from .kernel_encoder import Encoder
from .kernel_simd import ROWS, aligned, in_blocks, joined, narrowed, pack, whole
from .kernel_steps import Net, Tile, run_steps
from .kernel_team import Crew
from .kernel_tiles import AT_ONCE, has_tiles, readable

Floats = npt.NDArray[np.float32]

TILE = 48
"""Notes that go through a small network together: their inputs and a block's weights share the first cache."""

TEAM_TILE = 128
"""Notes that go through a large one together."""

LARGE = 4 << 20
"""Bytes of weights from which on a network is large."""

TEAM = 8
"""Threads that share a tile at most: a layer of the published network has 12 to 16 blocks of outputs."""


class Tensors(Mapping[str, npt.NDArray[Any]]):
    """The tensors of a safetensors file by name, each read when asked for: encoding needs a thirtieth of the published ones."""

    def __init__(self, path: Path) -> None:
        self._file: Any = safe_open(path, "np")
        self._names = dict.fromkeys(self._file.keys())  # type: ignore[no-untyped-call]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name not in self._names:
            raise KeyError(name)
        return np.asarray(self._file.get_tensor(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class WaveNetKernel:
    """`WaveNetNetwork` over weights by name, as `nets.wavenet.WaveNet` names them; see there for the shapes."""

    batch = 4 * TEAM_TILE

    def __init__(
        self,
        weights: Mapping[str, npt.NDArray[Any]],
        config: WaveNetConfig,
        *,
        threads: int | None = None,
        precision: str = "auto",
    ) -> None:
        """precision: "float32" or "bf16", of what products read; "auto" takes bf16 where that is faster.

        Raises BundleError for a network whose widths the kernel cannot run, DeviceError where bf16 is asked for and the
        processor has none. `encode` and `decode` raise BundleError at their first call for weights that are not the network's.
        """
        if precision == "bf16" and not has_bf16():
            raise DeviceError("this processor multiplies no bf16; take float32, the default here")
        if config.width % 2 or config.skip % 2:
            raise BundleError(f"the kernel runs even widths, not {config.width} and {config.skip}; use --runtime torch")
        self.config, self.bands = config, config.bands
        self.bf16 = precision == "bf16" or (precision == "auto" and (has_tiles() or pairs_pay()))
        self.tiles = self.bf16 and has_tiles()
        self.runtime = f"kernel (CPU, {'bf16' if self.bf16 else 'float32'})"
        self.threads = threads or os.cpu_count() or 1
        self._weights = weights

    def _half(self, name: str) -> dict[str, Floats]:
        """The weights of "encoder" or "decoder"; those of a file are not kept beside the packed ones."""
        begin = f"{name}."
        return {k.removeprefix(begin): np.asarray(self._weights[k], np.float32) for k in self._weights if k.startswith(begin)}

    @cached_property
    def _encoder(self) -> Encoder:
        with _others():
            return Encoder(self._half("encoder"), self.config, bf16=self.bf16, tiles=self.tiles)

    @cached_property
    def _net(self) -> Net:
        with _others():
            return self._packed(self._half("decoder"))

    def _packed(self, d: dict[str, Floats]) -> Net:
        c = self.config
        of_layer = ("dilated.weight", "dilated.bias", "join.weight", "join.bias")
        layers = [{n: d[f"layers.{i}.{n}"] for n in of_layer} for i in range(c.layers)]

        def packed(weight: Floats, **options: bool) -> npt.NDArray[Any]:
            return pack(weight[:, None] if weight.ndim == 2 else weight, bf16=self.bf16, tiles=self.tiles, **options)

        # What goes straight from the first convolution to the skip is one matrix with it.
        first, through = d["start.weight"].astype(np.float64), d["skip_start.weight"].astype(np.float64)
        skips = sum(layer["join.bias"][c.width :].astype(np.float64) for layer in layers)
        start_bias = d["start.bias"], through @ d["start.bias"] + d["skip_start.bias"] + skips
        start = [in_blocks(x.T) for x in (first, through @ first)]
        shift = np.cumsum([np.zeros(c.width), *(layer["join.bias"][: c.width] for layer in layers[:-1])], axis=0)
        # The bias of a dilated convolution and of `out1` is added wherever the condition is: they become one.
        split = [2 * c.width * i for i in range(1, c.layers + 1)]
        told = np.split(d["condition.weight"], split)
        others = np.concatenate([*(layer["dilated.bias"] for layer in layers), d["out1.bias"]])
        biases = np.split(d["condition.bias"] + others, split)
        lie = [_gated_order(2 * c.width)] * c.layers + [np.arange(whole(c.skip))]
        if c.head == "classes":
            said = (CLASSES * np.arange(c.bands)[:, None] + order()).reshape(-1)
        else:
            # All means, then all deviations, in whole vectors.
            band = np.arange(-(-c.bands // LANES) * LANES)
            said = np.concatenate([np.where(band < c.bands, 2 * band + i, 2 * c.bands) for i in range(2)])
        dilated = [layer["dilated.weight"].reshape(2 * c.width, c.kernel, c.width) for layer in layers]
        return Net(
            condition=pack(np.concatenate([_rows(t, o) for t, o in zip(told, lie, strict=True)])[:, None], bf16=False),
            condition_bias=np.concatenate([_rows(b, o) for b, o in zip(biases, lie, strict=True)]).astype(np.float32),
            start=packed(np.concatenate(start, axis=1).T),
            start_bias=in_blocks(np.concatenate([in_blocks(x) for x in start_bias])),
            dilated=joined([packed(t, gated=True) for t in dilated]),
            residual=joined([packed(layer["join.weight"][: c.width]) for layer in layers]),
            skip=packed(np.stack([layer["join.weight"][c.width :] for layer in layers], axis=1)),
            shift=in_blocks(shift),
            out1=packed(d["out1.weight"]),
            say=packed(_rows(d["logits.weight"], said)),
            say_bias=in_blocks(_rows(d["logits.bias"], said)),
            dilations=np.array(c.dilations),
        )

    def encode(self, signal: Floats) -> Floats:
        """See `WaveNetNetwork.encode`."""
        assert not self.config.guide, "a guided network's codes are its guide's"
        return self._encoder(signal, self.threads)

    @property
    def note_bytes(self) -> int:
        """Memory that each note takes while it is decoded; as many as a tile has are at once, on each thread or on all."""
        some = self._tile(AT_ONCE)
        return int(sum(a.nbytes for a in some) - some.begins.nbytes) // AT_ONCE

    def _tile(self, notes: int) -> Tile:
        c, item = self.config, np.uint16 if self.bf16 else np.float32
        notes = readable(notes) if self.tiles else notes
        begins = np.cumsum([0, *((c.kernel - 1) * d + 1 for d in c.dilations)])
        heard, wide = self._net.start.shape[2] * self._net.start.shape[4], len(self._net.dilated) // c.layers
        return Tile(
            told=aligned((notes, c.conditions), np.float32),
            folded=aligned((c.layers, notes, wide * ROWS), np.float32),
            folded_out=aligned((notes, whole(c.skip)), np.float32),
            # Whole vectors are written over what a step hears, from any band on.
            heard=aligned((notes, whole(heard + LANES)), item),
            now=aligned((notes, -(-c.bands // LANES) * LANES), np.float32),
            state=aligned((notes, whole(c.width) + whole(c.skip)), np.float32),
            rings=aligned((int(begins[-1]), notes, whole(c.width)), item),
            begins=begins,
            gated=aligned((c.layers, notes, wide * ROWS // 2), item),
            skipped=aligned((notes, whole(c.skip)), item),
            hidden=aligned((notes, whole(c.skip)), item),
            said=aligned((notes, whole(len(self._net.say_bias))), np.float32),
        )

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
        out = np.zeros((batch, frames * c.steps, c.bands), np.float32 if c.head == "levels" else np.uint8)
        noise = np.ascontiguousarray(noise, np.float32)
        source = np.zeros((batch, frames * c.steps, 0)) if source is None else source
        source = np.ascontiguousarray(source, np.float32)
        past = np.zeros((0, 0, 0), out.dtype) if follow is None else np.ascontiguousarray(follow, dtype=out.dtype)
        heat = np.float32(max(temperature, 1e-3))
        team = min(self.threads, TEAM) if self._net.dilated.nbytes + self._net.residual.nbytes > LARGE else 1
        crews = max(1, self.threads // team)
        # As many tiles as keep all crews busy to the end, each as large as that leaves it.
        most = TEAM_TILE if team > 1 else TILE
        tiles = min(-(-batch // (most * crews)) * crews, batch)
        # Of many notes, whole columns of tiles.
        unit = AT_ONCE if self.tiles and batch >= 2 * AT_ONCE * tiles else 1
        edges = [min(unit * (-(-batch // unit) * i // tiles), batch) for i in range(tiles + 1)]

        def run(i: int) -> None:
            some = slice(edges[i], edges[i + 1])
            notes = some.stop - some.start
            tile, told = self._tile(notes), c.conditioning(codes[some], pitch[some], velocity[some])
            at = c.kernel * c.bands
            tile.heard[:notes, at : at + c.source] = narrowed(source[some, 0], self.bf16)
            with Crew(team) as crew:
                for number in range(frames):
                    tile.told[:notes] = told[:, number]

                    def share(board: Any, first: int, last: int, begin: int = number * c.steps) -> None:
                        given = source, noise, past, out, some.start, heat
                        run_steps(self._net, tile, board, notes, c.bands, begin, first, last, *given)

                    crew.work(share, c.steps)

        with ThreadPoolExecutor(crews) as pool:
            list(pool.map(run, range(tiles)))
        return out


@contextlib.contextmanager
def _others() -> Iterator[None]:
    """Says in a sentence that weights are not those of the network."""
    try:
        yield
    except (KeyError, ValueError) as e:
        raise BundleError(f"the weights are not those of the network in the manifest ({e}); export the model again") from e


def _gated_order(rows: int) -> npt.NDArray[np.intp]:
    """Which row lies where in a matrix packed `gated`; beyond `rows` where none does."""
    half = ROWS // 2
    channel = np.arange(whole(rows) // 2).reshape(-1, 1, half)
    both = np.concatenate([channel, channel + rows // 2], axis=1)
    return np.where(channel < rows // 2, both, rows).reshape(-1)


def _rows(x: npt.NDArray[Any], order: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """The rows of x in an order; zeros for those that it has not."""
    padded = np.concatenate([x, np.zeros((max(0, int(order.max()) + 1 - len(x)), *x.shape[1:]), x.dtype)])
    return np.ascontiguousarray(padded[order])
