import pytest
import torch

from bench.memory import free_bytes, ran_out
from compressor.base.bounds import memory_bytes
from compressor.base.errors import UsageError


def test_less_is_free_than_there_is() -> None:
    assert 0 < free_bytes() < memory_bytes()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer"),
        UsageError("the model refuses its input: std::bad_alloc", "check it"),
    ],
)
def test_runtimes_say_in_many_words_that_memory_ran_out(error: Exception) -> None:
    assert ran_out(error)


def test_other_errors_are_not_about_memory() -> None:
    assert not ran_out(UsageError("the model refuses its input: x is float32 (1, 3)", "feed that"))


def test_pytorch_says_it_in_words_that_are_known() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60, dtype=torch.uint8)
    assert ran_out(error.value)
