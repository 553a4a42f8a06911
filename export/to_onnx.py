"""PyTorch module -> one checked ONNX file with a dynamic batch axis.

The exporter of ``torch.export`` is used: it folds batch norms and leaves few shape operators behind. Two
things are undone afterwards. It writes a Python stack trace, with the paths of this machine, onto every
node: they would make the file differ from machine to machine, and they are nobody's business. And it prints
progress and warnings: they are shown only where the export fails. How resizes are written is changed too, see
`export.resizes`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx_ir
import torch
from torch import Tensor, nn
from torch.export import Dim

from compressor.base.errors import CompressError
from compressor.base.files import file_digest
from compressor.base.modes import evaluation
from compressor.zoo.inputs import InputSpec
from export.model_io import example_tensors, input_names, named_outputs
from export.onnx_files import require_free, write_onnx
from export.quiet import captured_output
from export.resizes import write_factors
from export.taps import hide_taps, tapping
from export.traced import Traced, traced

OPSET: Final = 18
"""The oldest opset that the exporter writes without converting, hence the one that most runtimes read.

TensorRT 10, OpenVINO and ONNX Runtime from 1.14 read it; nothing that a CNN needs came later.
"""

BATCH_AXIS: Final = "batch"

_EXAMPLE_BATCH = 2  # 0 and 1 are special to torch.export: it would specialise on them
_KEPT_NODE_METADATA = "pkg.torch.onnx.name_scopes"  # which module a node came from, for per-layer reports


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """An exported model on disk.

    Attributes:
        path: the ``.onnx`` file; weights beyond 2 GiB lie beside it in ``<name>.data``.
        opset: version of the operator set.
        nodes: operators in the graph.
        bytes: size of all files together.
        sha256: digest of the file, and of the weights file after it where there is one.
    """

    path: Path
    opset: int
    nodes: int
    bytes: int
    sha256: str


def export_onnx(model: nn.Module, inputs: InputSpec, path: Path, *, metadata: Mapping[str, str]) -> OnnxFile:
    """Write ``model``, in evaluation mode, to ``path`` and check the file.

    Names follow `export.model_io`; axis 0 of every input and output is dynamic and called ``batch``. The
    same model gives the same bytes. Nothing is left behind where a step fails.

    Args:
        model: the module; its training mode is as before afterwards.
        inputs: shapes without the batch axis.
        path: the file to write; its folder exists and the file does not.
        metadata: written as the file's ``metadata_props``, for instance the artifact's digest.

    Raises:
        UsageError: the file exists, its folder does not, or outputs are not tensors.
        CompressError: the model cannot be exported, fixes its batch size, or fails the checker.
    """
    require_free(path)
    with tapping(model):
        exported = _exported(model, inputs)
    hide_taps(exported.graph)
    if inputs.max_batch is None:
        _require_dynamic_batch(exported, model)
    write_factors(exported)
    _clean(exported)
    exported.metadata_props.update(metadata)
    nodes = sum(1 for _ in exported.graph.all_nodes())
    files = write_onnx(exported, path)
    size = sum(file.stat().st_size for file in files)
    return OnnxFile(path=path, opset=OPSET, nodes=nodes, bytes=size, sha256=file_digest(*files))


def _exported(model: nn.Module, inputs: InputSpec) -> onnx_ir.Model:
    example = example_tensors(model, inputs, inputs.max_batch or _EXAMPLE_BATCH)
    with evaluation(model), torch.no_grad(), captured_output() as chatter:
        try:
            if isinstance(model, Traced):
                return traced(model, example, input_names(inputs), OPSET)
            return _captured(model, example, input_names(inputs))
        except CompressError:
            raise
        except Exception as error:  # the exporter runs the user's code, which may raise anything
            cause = error
    raise _export_error(model, cause, chatter.text) from cause


def _captured(model: nn.Module, example: tuple[Tensor, ...], names: tuple[str, ...]) -> onnx_ir.Model:
    batch = Dim(BATCH_AXIS)
    program = torch.onnx.export(
        model,
        example,
        dynamo=True,
        opset_version=OPSET,
        input_names=names,
        output_names=tuple(named_outputs(model(*example))),
        dynamic_shapes=tuple({0: batch} for _ in example),
        custom_translation_table=_translations(model),
        verbose=False,
    )
    assert program is not None
    return program.model


def _translations(model: nn.Module) -> dict[Any, Any]:
    """Return how the modules' own operators are written in ONNX, from their ``onnx_translations``."""
    tables = (getattr(module, "onnx_translations", {}) for module in model.modules())
    return {operator: written for table in tables for operator, written in table.items()}


def _export_error(model: nn.Module, cause: Exception, chatter: str) -> CompressError:
    said = _without_colours(f"{cause}\n{chatter}".strip())
    return CompressError(
        f"{type(model).__name__} cannot be exported to ONNX: {said}",
        "make forward independent of tensor values and of the batch size (no `if tensor`, no .item(), no"
        " fixed batch in view or reshape); torch.export.draft_export lists every place",
    )


def _without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _require_dynamic_batch(exported: onnx_ir.Model, model: nn.Module) -> None:
    for value in (*exported.graph.inputs, *exported.graph.outputs):
        shape = value.shape
        if shape is None or len(shape) == 0 or str(shape[0]) != BATCH_AXIS:
            raise CompressError(
                f"{type(model).__name__} fixes its batch size: axis 0 of {value.name!r} came out as {shape}",
                "reshape with -1 or with x.shape[0] instead of a number, and return one row per sample",
            )


def _clean(exported: onnx_ir.Model) -> None:
    exported.graph.metadata_props.clear()
    for node in exported.graph.all_nodes():
        scopes = node.metadata_props.get(_KEPT_NODE_METADATA)
        node.metadata_props.clear()
        if scopes is not None:
            node.metadata_props[_KEPT_NODE_METADATA] = scopes
    for value in exported.graph.initializers.values():
        value.metadata_props.clear()
