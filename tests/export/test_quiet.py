import os
import subprocess
import sys
import warnings

import pytest

from export.quiet import captured_output

SCRIPT = """
import os, sys
from export.quiet import captured_output
sys.stdout.write("before\\n")
with captured_output() as captured:
    print("inside")
    os.write(1, b"native\\n")
    sys.__stdout__.write("held stream\\n")
print("after")
sys.stderr.write(captured.text)
"""


def test_python_native_code_and_warnings_are_caught(capfd: pytest.CaptureFixture[str]) -> None:
    with captured_output() as captured:
        print("from print")
        print("to stderr", file=sys.stderr)
        os.write(1, b"native stdout\n")
        os.write(2, b"native stderr\n")
        warnings.warn("a warning", stacklevel=1)
    assert capfd.readouterr() == ("", "")
    lines = set(captured.text.splitlines())
    assert lines == {"from print", "to stderr", "native stdout", "native stderr", "a warning"}


def fail_quietly() -> None:
    with captured_output():
        print("caught")
        raise ValueError("inside")


def test_output_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="inside"):
        fail_quietly()
    print("visible")
    os.write(2, b"visible too\n")
    assert capfd.readouterr() == ("visible\n", "visible too\n")


def test_buffered_text_stays_on_its_side_of_the_block() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == "before\nafter\n"
    assert set(done.stderr.splitlines()) == {"inside", "native", "held stream"}


def test_an_interruption_on_the_way_in_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: int) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "dup2", interrupted)
    with pytest.raises(KeyboardInterrupt), captured_output():
        pass
