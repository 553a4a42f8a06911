"""The few collective operations that training needs; each is the identity in a lone process.

Workers are started by PyTorch's elastic launcher, ``torchrun``, which tells them who they are through
environment variables. Batch normalisation is not synchronised: each worker normalises with its own share of
the batch, and the running statistics are averaged over the workers before every validation.
"""

import gc
import inspect
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from compressor.base.launcher import end_with_launcher, launched

T = TypeVar("T")


@contextmanager
def init_from_env(device: torch.device) -> Iterator[torch.device]:
    """Join the process group that ``torchrun`` announced, and leave it at the end.

    Args:
        device: ``cpu`` (gloo) or ``cuda`` (NCCL; each worker takes the GPU of its local rank).

    Yields:
        The device of this worker. Without ``torchrun`` that is ``device``, and there is no group.
    """
    if not launched():
        yield device
        return
    end_with_launcher()
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        # Data-parallel wrappers lie in reference cycles and hold the group: freed only at interpreter exit,
        # its threads would be destroyed while they run, which aborts the process.
        gc.collect()
        dist.destroy_process_group()


def active() -> bool:
    """Return whether this process belongs to a group."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Return this worker's number, 0 in a lone process."""
    return dist.get_rank() if active() else 0


def world() -> int:
    """Return the number of workers, 1 in a lone process."""
    return dist.get_world_size() if active() else 1


def all_reduce_sum(values: Tensor) -> Tensor:
    """Return the sum of ``values`` over all workers, on every worker."""
    total = values.clone()
    if active():
        dist.all_reduce(total)
    return total


def all_reduce_mean(values: Tensor) -> Tensor:
    """Return the mean of ``values`` over all workers, on every worker."""
    return all_reduce_sum(values) / world()


def from_first(value: T) -> T:
    """Return rank 0's ``value`` on every worker."""
    if not active():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def gathered(value: T) -> list[T]:
    """Return every worker's ``value``, in the order of ranks, on every worker."""
    if not active():
        return [value]
    box: list[T] = [value] * world()
    dist.all_gather_object(box, value)
    return box


def data_parallel(model: nn.Module) -> nn.Module:
    """Return ``model`` wrapped so that gradients are averaged over workers, or itself in a lone process."""
    if not active():
        return model
    # buffers are averaged once per epoch instead of copied from rank 0 before every forward pass; the option
    # that says so has another name from PyTorch 2.14 on
    options = inspect.signature(DistributedDataParallel).parameters
    if "forward_sync_buffers" in options:
        return DistributedDataParallel(model, forward_sync_buffers=False)
    return DistributedDataParallel(model, broadcast_buffers=False)


def local_gradients(model: nn.Module) -> AbstractContextManager[None]:
    """Return a context in which backward passes add up locally, to be averaged by the next one outside."""
    if isinstance(model, DistributedDataParallel):
        context: AbstractContextManager[None] = model.no_sync()
        return context
    return nullcontext()


@torch.no_grad()
def average_buffers(model: nn.Module) -> None:
    """Replace every floating-point buffer of ``model`` by its mean over the workers."""
    if not active():
        return
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.copy_(all_reduce_mean(buffer))
