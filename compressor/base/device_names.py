"""Names of devices, without asking what is there: that needs torch, whose import takes seconds."""

import re

from compressor.base.errors import UsageError
from compressor.base.text import foreign


def check_device(name: str) -> None:
    """Refuse a name that is none of a device.

    Raises:
        UsageError: naming the ones there are.
    """
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise UsageError(f"unknown device {foreign(name)!r}", "use cpu, cuda, or cuda:0, cuda:1 ...")
