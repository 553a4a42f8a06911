"""Asking programs of the system."""

import shutil
import subprocess


def answer_of(program: str, *arguments: str) -> str:
    """Return what a program prints.

    Raises:
        OSError: it is not installed, or does not start.
        subprocess.SubprocessError: it failed, or did not end.
    """
    found = shutil.which(program)
    if found is None:
        raise FileNotFoundError(f"there is no {program}")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout
