"""From a model to files that servers run: ONNX, parity with PyTorch, runtimes."""
