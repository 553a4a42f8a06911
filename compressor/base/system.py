"""What the operating system and Python's packages say of this machine; nothing is guessed."""

import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Final

CPUINFO: Final = Path("/proc/cpuinfo")


def text_of(path: Path) -> str:
    """Return the content of a file of the system, "" where there is none to read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def field_of(text: str, name: str) -> str:
    """Return the first ``name : value`` of a /proc file, "" where there is none."""
    match = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text, re.MULTILINE)
    return match.group(1).strip() if match else ""


def cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Return what the processor can do, in Linux's words: ``avx2``, ``asimd``; empty where nothing tells."""
    return flags_in(text_of(cpuinfo))


def flags_in(text: str) -> frozenset[str]:
    """Return them from the text of ``/proc/cpuinfo``."""
    return frozenset(field_of(text, "flags").split()) | frozenset(field_of(text, "Features").split())


def installed(names: Iterable[str]) -> dict[str, str]:
    """Return distribution -> version, of those that are installed, in their order."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
