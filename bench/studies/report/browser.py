"""A page as people see it: headless Chromium, driven over a pipe by its DevTools protocol.

No port is opened and nothing is installed; a new profile is thrown away afterwards. What the page says to the
console, and whatever it would load, is written down.
"""

import base64
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-pipe",
)  # fmt: skip
_WAIT_S: Final = "60"
_TROUBLE: Final = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


def program() -> str | None:
    """Return where Chromium is, None where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@dataclass(slots=True)
class Browser:
    """A page that is open.

    Attributes:
        requests: addresses that it asked for, the page itself first.
        trouble: what it said to the console, and errors.
    """

    commands: BinaryIO
    answers: BinaryIO
    session: str = ""
    requests: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def call(self, method: str, **parameters: Any) -> Any:
        """Send a command and return its result; what happens meanwhile is written down.

        Raises:
            RuntimeError: the browser refused, or ended.
        """
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while (answer := self._read()).get("id") != number:
            self._note(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def until(self, event: str) -> None:
        """Wait for an event."""
        while (answer := self._read()).get("method") != event:
            self._note(answer)

    def _read(self) -> dict[str, Any]:
        text = bytearray()
        while not text.endswith(b"\0"):
            piece = self.answers.read(1)
            if not piece:
                raise RuntimeError("the browser ended")
            text += piece
        found: dict[str, Any] = json.loads(text[:-1])
        return found

    def _note(self, event: dict[str, Any]) -> None:
        method, about = event.get("method", ""), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        if method in _TROUBLE:
            self.trouble.append(json.dumps(about)[:300])

    def open(self, page: Path) -> None:
        """Load a file."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=page.resolve().as_uri())
        self.until("Page.loadEventFired")

    def dress(self, width: int, scheme: str, height: int = 900) -> None:
        """Give the window a width, and the user a liking for light or dark."""
        narrow = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, mobile=narrow,
            deviceScaleFactor=2 if narrow else 1,
        )  # fmt: skip
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def evaluate(self, expression: str) -> Any:
        """Return what an expression is worth in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def picture(self, path: Path, clip: tuple[int, int, int, int] | None = None) -> None:
        """Write a picture of the whole page, or of (left, top, width, height) of it."""
        more: dict[str, Any] = {}
        if clip:
            more["clip"] = dict(zip(("x", "y", "width", "height"), clip, strict=True)) | {"scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, **more)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Yield a browser without a page; it ends with the block.

    Raises:
        RuntimeError: there is no Chromium.
    """
    found = program()
    if found is None:
        raise RuntimeError("there is no Chromium: install it, or do without pictures")
    ours, theirs = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # The protocol is spoken on descriptors 3 and 4.
        line = [
            "bash",
            "-c",
            f'exec timeout {_WAIT_S} "$0" "$@" 3<&{ours[0]} 4>&{theirs[1]}',
            found,
            *_OPTIONS,
        ]
        process = subprocess.Popen(
            [*line, f"--user-data-dir={folder}"], pass_fds=(ours[0], theirs[1]), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(ours[0])
        os.close(theirs[1])
        with os.fdopen(ours[1], "wb") as commands, os.fdopen(theirs[0], "rb") as answers:
            try:
                yield Browser(commands, answers)
            finally:
                process.terminate()
                process.wait()
