"""Run an engine: fixed buffers and one CUDA graph per batch size.

A recorded graph holds the addresses and shapes it was recorded with, and the scratch memory of its execution
context; so every combination of input shapes gets buffers, context and graph of its own on first use. The
oldest is dropped when there are too many.
"""

from __future__ import annotations  # types of a module that may not be installed

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from compressor.base.errors import CompressError
from export.session import Array, Feed, Session
from export.tensorrt import api as trt
from export.tensorrt.device import Buffer, Device, Launch, Shape
from export.tensorrt.load import EngineOptions, OpenEngine
from export.tensorrt.profiler import LayerTimes, Times, profiler_into
from export.tensorrt.tensors import EngineTensor, engine_inputs, engine_outputs

Told = Callable[[int, int], None]

MOST_SHAPES: Final = 16
"""Combinations of input shapes that are kept ready."""

_FAULT: Final = "build the engine again; if it still fails, report it with the TensorRT version"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """Everything that one combination of input shapes needs."""

    context: trt.IExecutionContext  # a recorded graph uses its scratch memory: keep it alive
    inputs: Mapping[str, Buffer]
    outputs: Mapping[str, Buffer]
    launch: Launch


class EngineSession(Session):
    """An open engine; one thread at a time."""

    what = "the engine"
    remedy = "feed that, or build the engine for this batch size"

    def __init__(self, opened: OpenEngine, device: Device, name: str, options: EngineOptions) -> None:
        self._inputs = engine_inputs(opened.engine)
        self._outputs = engine_outputs(opened.engine)
        super().__init__([tensor.taken() for tensor in self._inputs], _names(self._outputs), name)
        self._opened: OpenEngine | None = opened
        self._gpu = device
        self._options = options
        self._prepared: dict[tuple[Shape, ...], _Prepared] = {}

    def _run(self, feed: Feed) -> dict[str, Array]:
        assert self._opened is not None
        with self._gpu.active():
            prepared = self._for_shapes(self._opened, feed)
            for name, buffer in prepared.inputs.items():
                buffer.upload(feed[name])
            prepared.launch()
            self._gpu.synchronize()
            return {name: buffer.download() for name, buffer in prepared.outputs.items()}

    def _release(self) -> None:
        self._prepared.clear()
        self._opened = None

    def _for_shapes(self, opened: OpenEngine, feed: Feed) -> _Prepared:
        shapes = tuple(feed[name].shape for name in self.input_names)
        if shapes not in self._prepared:
            if len(self._prepared) == MOST_SHAPES:
                self._prepared.pop(next(iter(self._prepared)))
            self._prepared[shapes] = self._prepare(opened, dict(zip(self.input_names, shapes, strict=True)))
        return self._prepared[shapes]

    def layer_times(self, feed: Feed, calls: int, told: Told = lambda done, total: None) -> LayerTimes:
        """Run an input several times with TensorRT's profiler attached, layer by layer.

        Args:
            feed: the input.
            calls: that are counted, after one that is not.
            told: how many were made, out of how many.

        Raises:
            CompressError: TensorRT fails.
        """
        opened, times = self._opened, Times()
        assert opened is not None
        profiler = profiler_into(times)  # the context keeps a bare pointer to it
        with self._gpu.active():
            bound = self._bound(opened, {name: feed[name].shape for name in self.input_names})
            for name, buffer in bound.inputs.items():
                buffer.upload(feed[name])
            bound.context.profiler = profiler
            for call in range(calls):
                times.begin()
                bound.launch()
                self._gpu.synchronize()
                told(call + 1, calls)
            inspector = opened.log.need(
                opened.engine.create_engine_inspector(), "create_engine_inspector", _FAULT
            )
            inspector.execution_context = bound.context
            inspected = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
        return LayerTimes(calls=times.calls, inspected=inspected)

    def _prepare(self, opened: OpenEngine, shapes: Mapping[str, Shape]) -> _Prepared:
        bound = self._bound(opened, shapes)
        return replace(bound, launch=self._recorded(bound.launch)) if self._options.cuda_graphs else bound

    def _bound(self, opened: OpenEngine, shapes: Mapping[str, Shape]) -> _Prepared:
        """Return buffers and context after one call, which is enqueued layer by layer."""
        context = shaped_context(opened, self._gpu, shapes)
        inputs = {t.name: self._gpu.buffer(shapes[t.name], t.dtype) for t in self._inputs}
        outputs = {t.name: self._gpu.buffer(_output_shape(context, t), t.dtype) for t in self._outputs}
        for name, buffer in {**inputs, **outputs}.items():
            accepted = context.set_tensor_address(name, buffer.address)
            opened.log.need(accepted, f"set_tensor_address({name!r})", _FAULT)

        def enqueue() -> None:
            opened.log.need(context.execute_async_v3(self._gpu.stream), "execute_async_v3", _FAULT)

        enqueue()  # the first call may allocate and load kernels, which a recording must not
        self._gpu.synchronize()
        return _Prepared(context=context, inputs=inputs, outputs=outputs, launch=enqueue)

    def _recorded(self, enqueue: Launch) -> Launch:
        try:
            return self._gpu.captured(enqueue)
        except RuntimeError as error:
            raise CompressError(
                f"the engine cannot be recorded as a CUDA graph: {error}",
                "open it with EngineOptions(cuda_graphs=False)",
            ) from error


def shaped_context(opened: OpenEngine, device: Device, shapes: Mapping[str, Shape]) -> trt.IExecutionContext:
    """Return a context for these input shapes, by name; ``device`` is the current one.

    Raises:
        CompressError: TensorRT does not make one.
    """
    need = opened.log.need
    context = need(opened.engine.create_execution_context(), "create_execution_context", "free GPU memory")
    switched = context.set_optimization_profile_async(0, device.stream)
    need(switched, "set_optimization_profile_async", _FAULT)
    device.synchronize()
    for name, shape in shapes.items():
        need(context.set_input_shape(name, shape), f"set_input_shape({name!r}, {shape})", _FAULT)
    missing = context.infer_shapes()
    if missing:
        raise CompressError(f"shapes are not determined by the inputs: {', '.join(missing)}", _FAULT)
    return context


def _output_shape(context: trt.IExecutionContext, tensor: EngineTensor) -> Shape:
    shape = tuple(context.get_tensor_shape(tensor.name))
    if any(size < 0 for size in shape):
        raise CompressError(
            f"the shape of {tensor.name}, {shape}, depends on values (NonZero, NonMaxSuppression ...)",
            "export the model without those operators and do that step outside the engine",
        )
    return shape


def _names(tensors: tuple[EngineTensor, ...]) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in tensors)
