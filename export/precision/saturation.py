"""Whether products of 8-bit numbers are exact on this processor."""

import platform
from pathlib import Path
from typing import Final

from compressor.base.system import CPUINFO, cpu_flags

_EXACT: Final = frozenset({"avx512_vnni", "avx_vnni"})


def saturates(cpuinfo: Path = CPUINFO) -> bool:
    """Say whether sums of two products of 8-bit numbers may be cut off at 16 bits.

    So x86 processors without VNNI compute them (``vpmaddubsw``), and ONNX Runtime with them; weights of 7
    bits leave room. A processor that does not tell is taken for one of these.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return False
    return not _EXACT & cpu_flags(cpuinfo)
