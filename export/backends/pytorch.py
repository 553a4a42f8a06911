"""PyTorch itself: the reference that exports are compared with, and the slowest of the runtimes."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import nn

from compressor.base.errors import UsageError
from compressor.base.modes import evaluation
from compressor.zoo import Trust
from compressor.zoo.inputs import InputSpec
from export.backends import BACKENDS, Array, Feed, Session, SessionOptions, require_device
from export.model_io import example_dtype, example_tensors, input_names, named_outputs
from export.session import OPEN, Taken

Loader = Callable[[Path, Trust], tuple[nn.Module, InputSpec]]


class TorchSession(Session):
    """A module behind the interface of a runtime.

    The module is moved to the device and put in evaluation mode while the ``with`` block lasts. The number
    of threads is one setting of the whole process: it holds inside the block, for other sessions too.
    """

    def __init__(self, model: nn.Module, inputs: InputSpec, options: SessionOptions) -> None:
        super().__init__(_taken(model, inputs), (), options.device)
        self._model = model
        self._inputs = inputs
        self._options = options
        self._stack = contextlib.ExitStack()

    @property
    def module(self) -> nn.Module:
        """The module behind the session, whose parts a comparison may run alone."""
        return self._model

    def _run(self, feed: Feed) -> dict[str, Array]:
        if not self.output_names:
            raise RuntimeError("open this session with a `with` block first")
        try:
            return self._forward(feed)
        except RuntimeError as error:
            raise UsageError(f"the model refuses its input: {error}", "check shapes and types") from error

    def __enter__(self) -> Self:
        super().__enter__()
        with contextlib.ExitStack() as stack:
            stack.enter_context(evaluation(self._model))
            stack.enter_context(_threads(self._options.threads))
            stack.callback(self._model.to, _device_of(self._model))
            self._model.to(self.device)
            self.output_names = self._probed_output_names()
            self._stack = stack.pop_all()
        return self

    def _release(self) -> None:
        self.output_names = ()
        self._stack.close()

    def _probed_output_names(self) -> tuple[str, ...]:
        example = example_tensors(self._model, self._inputs, batch=1)
        try:
            with torch.inference_mode():
                return tuple(named_outputs(self._model(*example)))
        except RuntimeError as error:
            raise UsageError(
                f"{type(self._model).__name__} does not run on {self._inputs.shapes}: {error}",
                "give the input shapes that the model was made for",
            ) from error

    def _forward(self, feed: Feed) -> dict[str, Array]:
        tensors = [torch.from_numpy(feed[name]).to(self.device) for name in self.input_names]
        with torch.inference_mode():
            outputs = named_outputs(self._model(*tensors))
            return {name: tensor.cpu().numpy() for name, tensor in outputs.items()}


def _device_of(model: nn.Module) -> torch.device:
    """Return where a module lies, which is where it goes back to."""
    return next((tensor.device for tensor in model.parameters()), torch.device("cpu"))


def _taken(model: nn.Module, inputs: InputSpec) -> list[Taken]:
    batch = OPEN if inputs.max_batch is None else inputs.max_batch
    kind = example_dtype(model)
    return [
        Taken(name=name, dtype=kind, smallest=(OPEN, *shape), largest=(batch, *shape))
        for name, shape in zip(input_names(inputs), inputs.shapes, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class TorchBackend:
    """Opens artifact folders.

    Attributes:
        load: how a path becomes a module and its input.
    """

    load: Loader
    name: str = "torch"
    suffix: str = ""
    usual: bool = True
    packages: tuple[str, ...] = ("torch",)

    def missing(self, device: str) -> str | None:
        """Return why PyTorch cannot use ``device``."""
        if device == "cpu" or torch.cuda.is_available():
            return None
        return "torch.cuda.is_available() is false; install a driver and a CUDA build of torch"

    def open(self, model: Path, options: SessionOptions) -> TorchSession:
        """Load an artifact; see `export.backends.Backend.open`."""
        if not model.exists():
            raise UsageError(f"{model} does not exist", "give the path of an artifact folder")
        require_device(self, options.device)
        return self.live(*self.load(model, options.trust), options)

    def live(self, module: nn.Module, inputs: InputSpec, options: SessionOptions) -> TorchSession:
        """Open a model that is in memory already.

        Raises:
            BackendMissingError: the device is not usable.
        """
        require_device(self, options.device)
        return TorchSession(module, inputs, options)


def _artifact(path: Path, trust: Trust) -> tuple[nn.Module, InputSpec]:
    from compressor.artifact import Artifact

    return Artifact.load(path, trust=trust).deployed()


BACKENDS.register("torch")(TorchBackend(load=_artifact))


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
