"""Stands for TensorRT where there is no GPU: same names, but ONNX Runtime computes, on host memory.

Every name here is compared with ``export/tensorrt/api.pyi`` and with TensorRT's real bindings. An engine is
the ONNX file with a line of JSON before it. Each test imports this file anew, so ``script`` starts fresh.
"""

# ruff: noqa: A002 -- parameters that shadow builtins are named by TensorRT

import ctypes
import enum
import json
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime

__version__ = "10.16.1.11"


@dataclass
class Script:
    """What goes wrong, and how the inspector writes."""

    unsupported: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)  # methods that answer None or False
    usable: bool = True
    messages: list[str] = field(default_factory=list)  # what is said at ERROR before a refusal
    major: int = 10
    layer_info: str | None = None
    calls: list[tuple] = field(default_factory=list)
    layer_ms: list[float] = field(default_factory=lambda: [0.5, 0.25, 1.0])  # what layers take, in turn


script = Script()


def _answer(name, logger, value, refusal=None):
    script.calls.append((name,))
    if name not in script.refused:
        return value
    for message in script.messages:
        logger.log(ILogger.Severity.ERROR, message)
    return refusal


class Dims(tuple):
    pass


class ILogger:
    class Severity(enum.IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def __init__(self):
        pass

    def log(self, severity, msg):
        raise NotImplementedError


BuilderFlag = enum.IntEnum("BuilderFlag", {"TF32": 6})
DataType = enum.IntEnum("DataType", {"FLOAT": 0, "HALF": 1, "INT64": 8, "BF16": 7})
LayerInformationFormat = enum.IntEnum("LayerInformationFormat", {"JSON": 1})
MemoryPoolType = enum.IntEnum("MemoryPoolType", {"WORKSPACE": 0})
NetworkDefinitionCreationFlag = enum.IntEnum("NetworkDefinitionCreationFlag", {"STRONGLY_TYPED": 1})
ProfilingVerbosity = enum.IntEnum("ProfilingVerbosity", {"LAYER_NAMES_ONLY": 0, "DETAILED": 2})
TensorIOMode = enum.IntEnum("TensorIOMode", {"INPUT": 1, "OUTPUT": 2})

_TYPES = {
    onnx.TensorProto.FLOAT: (DataType.FLOAT, "Float", "Row major linear FP32"),
    onnx.TensorProto.FLOAT16: (DataType.HALF, "Half", "Channel major FP16 format where channel % 8 == 0"),
    onnx.TensorProto.BFLOAT16: (DataType.BF16, "BFloat16", "Row major linear BF16 format"),
    onnx.TensorProto.INT64: (DataType.INT64, "Int64", "Row major linear INT64"),
    onnx.TensorProto.INT8: (None, "Int8", "Thirty-two wide channel vectorized row major Int8 format"),
}


class IHostMemory(bytes):
    pass


class ITensor:
    name = ""
    shape = Dims()

    def __init__(self, value):
        self.name = value.name
        self.shape = Dims(d.dim_value or -1 for d in value.type.tensor_type.shape.dim)


class INetworkDefinition:
    _model: onnx.ModelProto

    @property
    def num_inputs(self):
        return len(self._model.graph.input)

    def get_input(self, index):
        return ITensor(self._model.graph.input[index])


class IOptimizationProfile:
    def __init__(self):
        self._shapes = {}

    def set_shape(self, input, min, opt, max):
        self._shapes[input] = [min, opt, max]

    def __bool__(self):
        ordered = all(
            a <= b <= c for s in self._shapes.values() for a, b, c in zip(s[0], s[1], s[2], strict=True)
        )
        return ordered and bool(self._shapes)


class ITimingCache:
    def __init__(self, content):
        self._content = content

    def serialize(self):
        return IHostMemory(self._content)


class IBuilderConfig:
    builder_optimization_level = 3
    profiling_verbosity = ProfilingVerbosity.LAYER_NAMES_ONLY

    def __init__(self, logger):
        self._logger = logger
        self._flags = {BuilderFlag.TF32}
        self._limits = {}
        self._cache = None
        self._profiles = []

    def set_flag(self, flag):
        self._flags.add(flag)

    def clear_flag(self, flag):
        self._flags.discard(flag)

    def set_memory_pool_limit(self, pool, pool_size):
        self._limits[pool] = pool_size

    def create_timing_cache(self, serialized_timing_cache):
        broken = serialized_timing_cache[:5] not in (b"", b"CACHE")
        return None if broken else ITimingCache(serialized_timing_cache or b"CACHE")

    def set_timing_cache(self, cache, ignore_mismatch):
        if not _answer("set_timing_cache", self._logger, True, False) or b"other GPU" in cache._content:
            return ignore_mismatch
        self._cache = cache
        return True

    def get_timing_cache(self):
        return _answer("get_timing_cache", self._logger, self._cache)

    def add_optimization_profile(self, profile):
        self._profiles.append(profile)
        return _answer("add_optimization_profile", self._logger, len(self._profiles) - 1, -1)


class Builder:
    def __init__(self, logger):
        _require_usable(logger)
        self._logger = logger

    def create_network(self, flags=0):
        script.calls.append(("create_network", flags))
        return INetworkDefinition()

    def create_builder_config(self):
        return IBuilderConfig(self._logger)

    def create_optimization_profile(self):
        return IOptimizationProfile()

    def build_serialized_network(self, network, config):
        script.calls.append(("build", config))
        config._cache._content += b" measured"
        header = {
            "profile": config._profiles[0]._shapes if config._profiles else {},
            "detailed": config.profiling_verbosity is ProfilingVerbosity.DETAILED,
        }
        plan = json.dumps(header).encode() + b"\n" + network._model.SerializeToString()
        return _answer("build_serialized_network", self._logger, IHostMemory(plan))


class ParserError:
    def __init__(self, node):
        self._node = node

    def desc(self):
        return f"no importer for {self._node.op_type}"

    def node_name(self):
        return self._node.name

    def node_operator(self):
        return self._node.op_type


class OnnxParser:
    def __init__(self, network, logger):
        self._network = network
        self._logger = logger
        self._failed = []

    def parse_from_file(self, model):
        self._network._model = onnx.load(model)
        nodes = self._network._model.graph.node
        self._failed = [node for node in nodes if node.op_type in script.unsupported]
        return _answer("parse_from_file", self._logger, True, False) and not self._failed

    @property
    def num_errors(self):
        return len(self._failed)

    def get_error(self, index):
        return ParserError(self._failed[index])


class EngineInspector:
    execution_context = None

    def __init__(self, engine):
        self._engine = engine

    def get_engine_information(self, format):
        assert format == LayerInformationFormat.JSON
        if script.layer_info is not None:
            return script.layer_info
        model = onnx.shape_inference.infer_shapes(self._engine._model)
        if not self._engine._header["detailed"]:
            return json.dumps({"Layers": [node.name for node in model.graph.node]})
        graph = model.graph
        types = {
            v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output, *graph.value_info)
        }
        known = self.execution_context is not None
        shapes = {
            v.name: [d.dim_value or 2 for d in v.type.tensor_type.shape.dim]
            for v in (*graph.input, *graph.output, *graph.value_info)
        }
        self._shapes = shapes if known else {name: [-1] for name in shapes}
        layers = [
            {
                "Name": node.name,
                "LayerType": {"Conv": "CaskConvolution", "Gemm": "gemm"}.get(node.op_type, node.op_type),
                "Metadata": f"[ONNX Layer: {node.name}]\x1f[ONNX Layer: fused | scope (function)]",
                "Inputs": [self._tensor(name, types[name], known) for name in node.input if name in types],
                "Outputs": [self._tensor(name, types[name], known) for name in node.output],
            }
            for node in graph.node
        ]
        last = {"Bindings": list(types)} if script.major == 10 else {"I/O Tensors": []}
        return json.dumps({"Layers": layers, **last})

    def _tensor(self, name, elem_type, known):
        _, plain, words = _TYPES[elem_type]
        common = {"Name": name, "Dimensions": self._shapes[name]}
        if script.major == 10:
            return {**common, "Format/Datatype": words if known else "N/A due to dynamic shapes"}
        return {**common, "Datatype": plain, "Format": "Row major linear"}


class IProfiler:
    def __init__(self):
        pass

    def report_layer_time(self, layer_name, ms):
        raise NotImplementedError


class IExecutionContext:
    profiler = None

    def __init__(self, engine):
        self._engine = engine
        self._shapes = {}
        self._addresses = {}

    def set_optimization_profile_async(self, profile_index, stream_handle):
        return self._engine._answer("set_optimization_profile_async", profile_index == 0, False)

    def set_input_shape(self, name, shape):
        self._shapes[name] = tuple(shape)
        return self._engine._answer("set_input_shape", True, False)

    def infer_shapes(self):
        names = [v.name for v in self._engine._model.graph.input if v.name not in self._shapes]
        return names + (["shape_tensor"] if "infer_shapes" in script.refused else [])

    def get_tensor_shape(self, name):
        if name in self._shapes:
            return Dims(self._shapes[name])
        batch = next(iter(self._shapes.values()))[0]
        dims = self._engine._value(name).type.tensor_type.shape.dim
        return Dims(d.dim_value or (batch if d.dim_param == "batch" else -1) for d in dims)

    def set_tensor_address(self, name, memory):
        self._addresses[name] = memory
        return self._engine._answer("set_tensor_address", True, False)

    def execute_async_v3(self, stream_handle):
        assert stream_handle != 0, "the default stream makes TensorRT synchronise"
        feed = {v.name: self._memory(v.name) for v in self._engine._model.graph.input}
        names = [v.name for v in self._engine._model.graph.output]
        for name, value in zip(names, self._engine._session.run(names, feed), strict=True):
            self._memory(name)[...] = value
        for number, node in enumerate(self._engine._model.graph.node if self.profiler else ()):
            self.profiler.report_layer_time(node.name, script.layer_ms[number % len(script.layer_ms)])
        return self._engine._answer("execute_async_v3", True, False)

    def _memory(self, name):
        dtype = np.dtype(nptype(self._engine.get_tensor_dtype(name)))
        shape = tuple(self.get_tensor_shape(name))
        memory = (ctypes.c_byte * (int(np.prod(shape)) * dtype.itemsize)).from_address(self._addresses[name])
        return np.frombuffer(memory, dtype).reshape(shape)


class ICudaEngine:
    def __init__(self, plan, logger):
        header, _, model = plan.partition(b"\n")
        self._logger = logger
        self._header = json.loads(header)
        self._model = onnx.load_from_string(model)
        self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        self._values = [*self._model.graph.input, *self._model.graph.output]

    @property
    def num_io_tensors(self):
        return len(self._values)

    def get_tensor_name(self, index):
        return self._values[index].name

    def get_tensor_mode(self, name):
        is_input = name in {v.name for v in self._model.graph.input}
        return TensorIOMode.INPUT if is_input else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        return _TYPES[self._value(name).type.tensor_type.elem_type][0]

    def get_tensor_shape(self, name):
        return ITensor(self._value(name)).shape

    def get_tensor_profile_shape(self, name, profile_index):
        assert profile_index == 0
        return [Dims(shape) for shape in self._header["profile"][name]]

    def create_engine_inspector(self):
        return self._answer("create_engine_inspector", EngineInspector(self))

    def create_execution_context(self):
        return self._answer("create_execution_context", IExecutionContext(self))

    def _value(self, name):
        return next(v for v in self._values if v.name == name)

    def _answer(self, name, value, refusal=None):
        return _answer(name, self._logger, value, refusal)


class Runtime:
    def __init__(self, logger):
        _require_usable(logger)
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine):
        accepted = _answer("deserialize_cuda_engine", self._logger, True)
        return ICudaEngine(serialized_engine, self._logger) if accepted else None


def init_libnvinfer_plugins(logger, namespace):
    return _answer("init_libnvinfer_plugins", logger, namespace == "", False)


def nptype(trt_type):
    found = {DataType.FLOAT: np.float32, DataType.HALF: np.float16, DataType.INT64: np.int64}
    if trt_type not in found:
        raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")
    return found[trt_type]


def _require_usable(logger):
    if not script.usable:
        logger.log(ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")
