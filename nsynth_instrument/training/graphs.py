"""Networks as ONNX graphs and small weight files."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from ..errors import MissingExtra


def weights(module: torch.nn.Module, *, half: bool = True) -> bytes:
    """The module's weights as a safetensors file, in float16 or as they are."""
    state = {k: v.detach().cpu() for k, v in module.state_dict().items()}
    return save({k: (v.to(torch.float16) if half else v).contiguous() for k, v in state.items()})


def graph(
    module: torch.nn.Module,
    inputs: Mapping[str, torch.Tensor] | Mapping[str, torch.Tensor | list[torch.Tensor]],
    outputs: str | Sequence[str],
    *,
    free: int | Mapping[str, int | tuple[int, ...]] = 2,
    half: bool = True,
) -> bytes:
    """The module as an ONNX file; with `half` its large weights are kept in float16 and widened when it is loaded.

    inputs: examples by the names of the forward's parameters, their first `free` axes free (of a tuple, just its axes), of all
    alike or by name (2 of those not named); those of a sequence become NAME_0, NAME_1 and so on. Raises MissingExtra without
    onnx.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as e:
        raise MissingExtra("export to ONNX", "train") from e

    def axes(name: str, x: torch.Tensor) -> dict[int, Any]:
        count = free if isinstance(free, int) else free.get(name, 2)
        return dict.fromkeys(count if isinstance(count, tuple) else range(min(count, x.dim())), torch.export.Dim.DYNAMIC)

    names, shapes = list[str](), dict[str, Any]()
    for name, value in inputs.items():
        if isinstance(value, torch.Tensor):
            names.append(name)
            shapes[name] = axes(name, value)
        else:
            names += [f"{name}_{i}" for i in range(len(value))]
            shapes[name] = [axes(name, v) for v in value]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The exporter warns of its own insides; none of it is for whoever exports.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        path = Path(folder) / "graph.onnx"
        program = torch.onnx.export(
            module.eval(), (), kwargs=dict(inputs), input_names=names,
            output_names=[outputs] if isinstance(outputs, str) else list(outputs),
            dynamic_shapes=shapes, dynamo=True, verbose=False,
        )  # fmt: skip
        assert program is not None
        program.save(str(path))
        model = onnx.load(str(path))
    kept = []
    for tensor in model.graph.initializer:
        if not half or tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            kept.append(tensor)
            continue
        small = numpy_helper.from_array(numpy_helper.to_array(tensor).astype("float16"), tensor.name + "_half")
        kept.append(small)
        model.graph.node.insert(0, helper.make_node("Cast", [small.name], [tensor.name], to=TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    _bare(model)
    # An initializer that a Cast now makes must not be declared twice.
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _bare(model: Any) -> None:
    """Take off what the exporter notes of its own source: stack traces, with the paths of the machine that it ran on."""
    graphs = [model.graph, *model.functions]
    for part in graphs:
        for thing in (part, *part.node, *part.value_info):
            del thing.metadata_props[:]
            thing.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
