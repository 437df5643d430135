"""The roofline of docs/speed.md: python benchmarks/roofline.py docs/speed.csv docs/roofline.png

The table is what `benchmarks/speed.py roof --csv` adds to, its first line the names of the columns. Across: multiply-adds for each
byte that a step must move; up: multiply-adds a second. Roofs are the best peaks of the table.
"""

import csv
import sys
from pathlib import Path

try:
    import matplotlib
except ImportError:
    sys.exit("the plot needs matplotlib: pip install matplotlib")

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

COLOURS = {"kernel": "#1f4e9c", "torch": "#c2501a", "onnx": "#2e8b57"}
NAMES = {"published": "published network", "small": "guided network (its weights stay in the cache)"}


def main() -> None:
    table, picture = map(Path, sys.argv[1:])
    with table.open(encoding="utf-8") as f:
        rows = [{k: v if k in ("runtime", "precision", "net") else float(v) for k, v in row.items()} for row in csv.DictReader(f)]
    memory = max(r["memory"] for r in rows)
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), sharey=True)
    for axis, (net, title) in zip(axes, NAMES.items(), strict=True):
        own = [r for r in rows if r["net"] == net]
        across = np.geomspace(0.2, 2000, 200)
        for precision, style in (("tiles", "-."), ("bf16", "-"), ("float32", "--")):
            peak = max(r["peak"] for r in rows if r["precision"] == precision)
            axis.loglog(across, np.minimum(peak, memory * across), style, color="0.5", lw=1.2)
            said = f"bf16, the Xeon with tiles: {peak:.0f}" if precision == "tiles" else f"{precision}: {peak:.0f}"
            axis.text(1900, peak * (0.83 if precision == "bf16" else 1.08), f"{said} G/s", ha="right", fontsize=8, color="0.35")
        axis.text(0.22, memory * 0.2 * 1.5, f"memory: {memory:.0f} GB/s", rotation=37, fontsize=8, color="0.35")
        for runtime, precision in sorted({(r["runtime"], r["precision"]) for r in own}):
            line = sorted((r for r in own if (r["runtime"], r["precision"]) == (runtime, precision)), key=lambda r: r["batch"])
            solid = precision != "float32"
            colour = "#8a2be2" if precision == "tiles" else COLOURS[runtime]
            axis.plot(
                [r["intensity"] for r in line], [r["gmacs"] for r in line], "o-" if solid else "s:", ms=4, lw=1,
                color=colour, mfc=colour if solid else "white", label=f"{runtime} {precision}",
            )  # fmt: skip
            for r in line:
                axis.annotate(
                    f"{r['batch']:.0f}", (r["intensity"], r["gmacs"]), xytext=(3, -9), textcoords="offset points", fontsize=6
                )
        axis.set(title=title, xlabel="multiply-adds a byte", xlim=(0.2, 2000), ylim=(0.1, 2000))
        axis.grid(True, which="major", color="0.92")
        axis.legend(fontsize=8, loc="lower right")
    axes[0].set_ylabel("G multiply-adds/s, two cores; numbers are notes at once")
    figure.tight_layout()
    figure.savefig(picture, dpi=90)


if __name__ == "__main__":
    main()
