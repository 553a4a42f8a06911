"""TensorRT: an engine is built from an ONNX file, described, checked before it is opened, and run.

    onnx -> build.py -> engine + sidecar -> load.py -> session.py

Precision lies in the graph (FP16 tensors, Q/DQ nodes) and networks are strongly typed, because TensorRT 11
has no precision flags any more; `precision.py` then reads from the engine what really became of it.
`api.pyi` lists the part of TensorRT that we use: names that 10.13, 10.16 and 11.4 have in common.
"""
