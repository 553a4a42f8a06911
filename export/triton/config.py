"""An ONNX file's ports and the operator's settings -> Triton's ``ModelConfig``.

Triton counts the batch axis apart: ``dims`` leave it out, and every file must have it first. A port that is
nothing but the batch, such as a detector's number of detections (B,), has no dims left; Triton forbids that,
so clients see one axis of size 1, which ``reshape`` takes away again before the model.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from onnx import TensorProto

from compressor.base.errors import UsageError
from export.ports import Port, Ports
from export.triton.pbtxt import Message, Symbol
from export.triton.settings import TritonSettings

Runtime = Literal["onnxruntime", "tensorrt"]

LABELS_FILE: Final = "labels.txt"
_PLATFORMS: Final[Mapping[Runtime, str]] = MappingProxyType(
    {"onnxruntime": "onnxruntime_onnx", "tensorrt": "tensorrt_plan"}
)
_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {
        TensorProto.BOOL: "TYPE_BOOL",
        TensorProto.UINT8: "TYPE_UINT8",
        TensorProto.UINT16: "TYPE_UINT16",
        TensorProto.UINT32: "TYPE_UINT32",
        TensorProto.UINT64: "TYPE_UINT64",
        TensorProto.INT8: "TYPE_INT8",
        TensorProto.INT16: "TYPE_INT16",
        TensorProto.INT32: "TYPE_INT32",
        TensorProto.INT64: "TYPE_INT64",
        TensorProto.FLOAT16: "TYPE_FP16",
        TensorProto.FLOAT: "TYPE_FP32",
        TensorProto.DOUBLE: "TYPE_FP64",
        TensorProto.BFLOAT16: "TYPE_BF16",
        TensorProto.STRING: "TYPE_STRING",
    }
)


def model_config(ports: Ports, settings: TritonSettings, runtime: Runtime) -> Message:
    """Return the configuration, field by field of ``ModelConfig``.

    Raises:
        UsageError: the file fixes its batch size but batches were asked for, has an element type that Triton
            does not know or an input of open size, or its outputs do not go with the labels.
    """
    named = _labelled_output(ports, settings)
    return {
        "name": settings.name,
        "platform": _PLATFORMS[runtime],
        "backend": runtime,
        "max_batch_size": settings.max_batch,
        "input": [_port(port, settings) for port in ports.inputs],
        "output": [
            {**_port(port, settings), **({"label_filename": LABELS_FILE} if port is named else {})}
            for port in ports.outputs
        ],
        "version_policy": {"latest": {"num_versions": 1}},
        "instance_group": [_instances(settings)],
        **({"dynamic_batching": _batching(settings)} if settings.max_batch > 1 else {}),
        "model_warmup": [_warmup(ports, settings, size) for size in sorted({1, max(1, settings.max_batch)})],
    }


def _port(port: Port, settings: TritonSettings) -> Message:
    dims = _dims(port, settings)
    described: Message = {"name": port.name, "data_type": _data_type(port), "dims": dims or [1]}
    return described if dims else {**described, "reshape": {"shape": []}}


def _data_type(port: Port) -> Symbol:
    if port.element_type not in _TYPES:
        kind = TensorProto.DataType.Name(port.element_type)
        raise UsageError(f"{port.name!r} is of type {kind}, which Triton does not know", "cast it to another")
    return Symbol(_TYPES[port.element_type])


def _dims(port: Port, settings: TritonSettings) -> list[int]:
    """Return the sizes without the batch axis."""
    if settings.max_batch == 0:
        return list(port.shape)
    if not port.shape or port.shape[0] != -1:
        raise UsageError(
            f"the file fixes its batch size: axis 0 of {port.name!r} of shape {list(port.shape)} is not open",
            "export it with a dynamic batch, or set the largest batch to 0",
        )
    return list(port.shape[1:])


def _labelled_output(ports: Ports, settings: TritonSettings) -> Port | None:
    """Return the output whose positions the labels name.

    Triton puts a label to the *position* of a score, as in a classifier's row of logits. A detector's outputs
    hold class numbers instead, a segmentation holds maps: clients look names up in the file themselves.
    """
    output = ports.outputs[0]
    if not settings.labels or len(ports.outputs) > 1 or len(output.shape) != 2:
        return None
    if output.shape[1] != len(settings.labels):
        raise UsageError(
            f"{len(settings.labels)} class names for output {output.name!r} of shape {list(output.shape)}",
            "give one name per class, in the order of the outputs",
        )
    return output


def _instances(settings: TritonSettings) -> Message:
    group: Message = {"kind": Symbol(f"KIND_{settings.device.upper()}"), "count": settings.instances}
    return {**group, "gpus": list(settings.gpus)} if settings.gpus else group


def _batching(settings: TritonSettings) -> Message:
    delay: Message = {"max_queue_delay_microseconds": settings.max_queue_delay_us}
    preferred = sorted(set(settings.preferred_batches))
    return {"preferred_batch_size": preferred, **delay} if preferred else delay


def _warmup(ports: Ports, settings: TritonSettings, batch: int) -> Message:
    """Return one request of random data, so that no client waits for memory and kernels to be set up."""
    return {
        "name": f"batch_{batch}",
        "batch_size": batch,
        "inputs": [{"key": port.name, "value": _random(port, settings)} for port in ports.inputs],
    }


def _random(port: Port, settings: TritonSettings) -> Message:
    dims = _dims(port, settings)
    if -1 in dims:
        raise UsageError(
            f"input {port.name!r} of shape {list(port.shape)} leaves more than the batch open",
            "export it for one image size: each size would need kernels and a warm-up of its own",
        )
    return {"data_type": _data_type(port), "dims": dims or [1], "random_data": True}
