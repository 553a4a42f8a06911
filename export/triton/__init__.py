"""Model repositories of the Triton Inference Server, written without Triton.

    REPOSITORY/<name>/config.pbtxt     what Triton has to know: names, types, shapes, batching, devices
    REPOSITORY/<name>/labels.txt       one class name per line, where they are known
    REPOSITORY/<name>/1/model.onnx     the file itself, or model.plan for a TensorRT engine

Source: "Model Configuration" and "Model Repository" in the user guide of triton-inference-server/server, and
``model_config.proto`` of triton-inference-server/common.
"""

from export.triton.repository import write_repository
from export.triton.settings import TritonSettings

__all__ = ["TritonSettings", "write_repository"]
