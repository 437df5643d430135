"""How fast the runtimes decode and how near that is to what the machine can: figures for docs/speed.md.

    python benchmarks/speed.py peak                           the machine: matrix products and memory
    python benchmarks/speed.py roof  --net small --batches 1,8,64,440        one runtime, beside the peak
    python benchmarks/speed.py gpu   --net published --batches 1,64,512      torch and ONNX on CUDA; who has a GPU runs this

--runtime kernel, torch or onnx; --net small, classes, published, or a bundle's folder; --threads. Weights of named
networks are random. The machine should be idle.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from nsynth_instrument.nets.wavenet_config import GUIDED12, H512, WaveNetConfig


def published() -> WaveNetConfig:
    """H512 with short code frames, so that a measurement can be short; a step is the same."""
    return replace(H512, hop=16)


CLASSES4 = WaveNetConfig(bands=4, width=64, skip=128, layers=14, stages=7, kernel=2, pitch="basis", velocity=True)
"""As small, but one that says classes: 4 bands of 16 kHz."""


def multiply_adds(config: WaveNetConfig) -> float:
    """Of the decoder, for one sample, with what nothing hears left out; conditioning, once a frame, not counted."""
    first = config.kernel * config.bands + config.source
    layer = 2 * config.width * config.kernel * config.width + config.width * (config.width + config.skip)
    ends = first * config.width + config.width * config.skip + config.skip**2 + config.skip * config.says * config.bands
    return (config.layers * layer - config.width**2 + ends) / config.bands


def encoder_multiply_adds(config: WaveNetConfig) -> float:
    """Of the encoder, for one sample."""
    w = config.encoder_width
    return (3 * config.bands * w + config.encoder_layers * 4 * w * w) / config.bands


def parameters(config: WaveNetConfig) -> int:
    """Numbers that a step reads: all weights of the decoder that are used."""
    return round(multiply_adds(config) * config.bands)


def traffic(config: WaveNetConfig, batch: int, size: int) -> float:
    """Bytes that a step moves at the least, of numbers of `size` bytes: all weights once, and of each note every layer's past taps
    and what becomes its next one.
    """
    return size * (parameters(config) + batch * config.layers * config.kernel * config.width)


def weights(config: WaveNetConfig) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    out: dict[str, np.ndarray] = {}

    def linear(name: str, outputs: int, inputs: int) -> None:
        out[f"{name}.weight"] = rng.standard_normal((outputs, inputs), np.float32) / np.sqrt(inputs, dtype=np.float32)
        out[f"{name}.bias"] = np.zeros(outputs, np.float32)

    e, w, s = config.encoder_width, config.width, config.skip
    if not config.guide:
        linear("encoder.start", e, 3 * config.bands)
        for i in range(config.encoder_layers):
            linear(f"encoder.dilated.{i}", e, 3 * e)
            linear(f"encoder.residual.{i}", e, e)
        linear("encoder.bottleneck", config.dims, e)
    linear("decoder.start", w, config.kernel * config.bands + config.source)
    linear("decoder.skip_start", s, w)
    linear("decoder.condition", config.layers * 2 * w + s, config.conditions)
    for i in range(config.layers):
        linear(f"decoder.layers.{i}.dilated", 2 * w, config.kernel * w)
        linear(f"decoder.layers.{i}.join", w + s, w)
    linear("decoder.out1", s, s)
    linear("decoder.logits", config.bands * config.says, s)
    return out


def best(work: Callable[[], Any], seconds: float) -> float:
    """The shortest of several runs, in s, that together take about `seconds`."""
    shortest, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        work()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


def generate(network: Any, batch: int, seconds: float) -> tuple[float, float]:
    """Samples per second and per second of processor time of a network at a batch."""
    c = network.config
    rng = np.random.default_rng(0)

    def run(frames: int) -> np.ndarray:
        codes, steps = rng.standard_normal((batch, frames, c.dims), np.float32), frames * c.steps
        pitch, velocity = rng.integers(36, 96, batch), rng.integers(1, 128, batch)
        noise, source = rng.random((batch, steps, c.bands), np.float32), rng.random((batch, steps, c.source), np.float32)
        start = np.array([time.perf_counter(), time.process_time()])
        network.decode(codes, pitch, velocity, noise, source=source)
        return np.array([time.perf_counter(), time.process_time()]) - start

    run(1)
    frames = max(1, round(seconds / 2 / run(1)[0]))
    wall, busy = np.minimum(run(frames), run(frames))
    return batch * frames * c.hop / wall, batch * frames * c.hop / busy


def peaks(threads: int, seconds: float = 1.5) -> dict[str, float]:
    """G multiply-adds/s of square products, by PyTorch, and GB/s of reading."""
    import torch

    torch.set_num_threads(threads)
    out = {}
    for name, kind in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        for n in (1024, 2048):
            a, b = torch.randn(n, n).to(kind), torch.randn(n, n).to(kind)
            out[name] = max(out.get(name, 0.0), n**3 / best(lambda a=a, b=b: a @ b, seconds) / 1e9)  # type: ignore[misc]
    # Larger than any cache, read by as many threads as compute.
    lines = np.ones((threads, 1 << 25), np.float32)

    def read() -> None:
        crew = [threading.Thread(target=lambda row=row: row.max()) for row in lines]
        for t in crew:
            t.start()
        for t in crew:
            t.join()

    out["memory"] = lines.nbytes / best(read, seconds) / 1e9
    return out


def network(runtime: str, net: str, threads: int, device: str, precision: str) -> Any:
    config = {"small": GUIDED12, "classes": CLASSES4, "published": published()}.get(net)
    if config is None:
        from nsynth_instrument import bundle
        from nsynth_instrument.runtimes import open_codec

        made: Any = open_codec(bundle.read(Path(net)), runtime, threads=threads, device=device)
        return made.network
    w = weights(config)
    if runtime == "kernel":
        from nsynth_instrument.runtimes.kernel_wavenet import WaveNetKernel

        return WaveNetKernel(w, config, threads=threads, precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        import torch

        from nsynth_instrument.training.wavenet_export import contents

        tensors = {k: torch.from_numpy(v) for k, v in w.items()}
        if runtime == "torch":
            from safetensors.torch import save_file

            from nsynth_instrument.runtimes.torch import WaveNetTorch

            save_file(tensors, Path(folder) / "w.safetensors")
            return WaveNetTorch(Path(folder) / "w.safetensors", config, device=device, threads=threads, precision=precision)
        from nsynth_instrument.runtimes.onnx import WaveNetOnnx

        for name, data in contents(tensors, config).items():
            (Path(folder) / name).write_bytes(data)
        parts = [
            Path(folder) / f"{n}.onnx" if n != "encoder" or not config.guide else None for n in ("encoder", "condition", "step")
        ]
        return WaveNetOnnx(*parts, config, device=device, threads=threads)


def roof(asked: argparse.Namespace) -> None:
    top = peaks(asked.threads, min(1.5, asked.seconds / 2))
    made = network(asked.runtime, asked.net, asked.threads, asked.device, asked.precision)
    precision = "tiles" if getattr(made, "tiles", False) else "bf16" if "bf16" in made.runtime else "float32"
    top["tiles"] = top["bf16"]
    each = multiply_adds(made.config)
    print(
        f"{made.runtime}, {asked.net}: {each / 1e6:.2f} M multiply-adds a sample; peak {top[precision]:.0f} G/s, memory {top['memory']:.0f} GB/s"
    )
    for batch in map(int, asked.batches.split(",")):
        rate, busy = generate(made, batch, asked.seconds)
        done = rate * each / 1e9
        print(
            f"batch {batch:4d}: {rate:9.0f} samples/s = {rate / made.config.rate:7.3f} x real time, "
            f"{done:5.0f} G multiply-adds/s = {100 * done / top[precision]:3.0f} % of the peak; "
            f"{busy * each / 1e9:.0f} G a second of one processor's time",
            flush=True,
        )
        if asked.csv:
            size = 4 if precision == "float32" else 2
            work = batch * parameters(made.config) / traffic(made.config, batch, size)
            row = [asked.runtime, precision, asked.net, batch, f"{rate:.0f}", f"{rate / made.config.rate:.4g}", f"{done:.4g}"]
            row += [f"{busy * each / 1e9:.4g}", f"{work:.4g}", f"{top[precision]:.4g}", f"{top['memory']:.4g}"]
            with asked.csv.open("a", encoding="utf-8") as f:
                print(*row, sep=",", file=f)


def gpu(asked: argparse.Namespace) -> None:
    """Notes of 4 s per second, x real time, batch, precision, device."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU: this is the CPU"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for runtime in ("torch", "onnx"):
        try:
            made = network(runtime, asked.net, asked.threads, device, "auto")
        except Exception as e:  # the other runtime's figures are wanted all the same
            print(f"{runtime}: {e}", file=sys.stderr)
            continue
        for batch in map(int, asked.batches.split(",")):
            rate, _ = generate(made, batch, asked.seconds)
            how = getattr(made, "how", "")
            print(
                f"{made.runtime} on {name}{', ' + how if how else ''}: batch {batch}, float32, {rate / made.config.rate / 4:.4f} notes/s, "
                f"{rate / made.config.rate:.3f} x real time",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["peak", "roof", "gpu"])
    parser.add_argument("--runtime", choices=["kernel", "torch", "onnx"], default="kernel")
    parser.add_argument("--net", default="small")
    parser.add_argument("--batches", default="1,8,64,440")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--precision", choices=["auto", "float32", "bf16"], default="auto", help="of the kernel and torch")
    parser.add_argument("--csv", type=Path, help="add the figures to this table, which benchmarks/roofline.py draws")
    asked = parser.parse_args()
    if asked.what == "peak":
        print({k: round(v, 1) for k, v in peaks(asked.threads).items()})
    else:
        {"roof": roof, "gpu": gpu}[asked.what](asked)


if __name__ == "__main__":
    main()
