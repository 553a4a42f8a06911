"""What reaches the terminal when something goes wrong: three parts, and nothing that poses as one."""

import pytest

from compressor import cli
from compressor.base.errors import UsageError


def test_a_line_break_in_a_path_fakes_no_line_of_ours() -> None:
    error = UsageError("there is no folder x\nHint: run me", "check\nError: it")
    lines = str(error).splitlines()
    assert [line for line in lines if line.startswith(("Error:", "Hint:"))] == ["Hint: check"]
    assert error.message == "there is no folder x\nHint: run me"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"),
    ],
)
def test_memory_that_runs_out_is_told_in_a_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    err = capsys.readouterr().err
    assert err.splitlines()[0] == "Error: there is not enough memory"
    assert "Internal" not in err
