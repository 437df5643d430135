"""The command `import-magenta`; what it needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("import-magenta", epilog="Example: nsynth-instrument import-magenta model.ckpt-200000 exports/models/nsynth")
@click.argument("prefix", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--average", is_flag=True, help="Take the moving averages of the weights.")
@click.option("--graphs", is_flag=True, help="Also write graphs, for --runtime onnx alone; needs the extra train.")
@click.option("--licence", default="unstated", show_default=True, help="Of the model.")
def import_magenta(*, prefix: Path, out: Path, average: bool, graphs: bool, licence: str) -> None:
    """Turn a TensorFlow checkpoint of NSynth into the model OUT.

    PREFIX is what the files' names have in common, or one of the files: the WaveNet autoencoder (h512_bo16) or the spectral
    baseline (nfft_1024). TensorFlow is not needed. Prints the model's folder.
    """
    from .magenta import import_checkpoint

    made = import_checkpoint(
        prefix, out, average=average, graphs=graphs, licence=licence, tell=lambda line: click.echo(line, err=True)
    )
    click.echo(made.folder)
