"""Damage to every kind of file that is read: ``python -m bench.studies.fuzz.run --minutes 5 --seed 1``.

A good file is damaged, in its bytes or in its structure (digests made right again, as anybody can), and
read by the reader of the product. Every reader returns what it read, in a form that can be compared. So a
trial ends in one of these:

- ``refused``: with a message and a hint.
- ``same``: the content is what the good file's was.
- ``edited``: the content is another, and is a valid document. That is legitimate where somebody could have
  written the file so: after a change of the structure, since its digests are right, and after damage to the
  bytes of kinds that no digest protects (a plan's 0.5 that became 0.4). Where a kind has a
  writer, what was read is written and read once more, and must not change by that; elsewhere ``edited`` says
  no more than that the reader accepted it.

Anything else is a failure: another exception, a message without a hint, or other content under a digest.
The trials run in a process whose address space ends a little above what it has taken at the start, so that a
number in a file cannot ask for all memory.
"""

import argparse
import json
import random
import resource
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.studies.fuzz.damage import damaged
from compressor.base.errors import CompressError
from compressor.base.files import scratch

Read = Callable[[Path], Any]
Damage = Callable[[random.Random], bytes]

FINE: Final = ("refused", "same", "edited")
ROOM_BYTES: Final = 2**30
"""What a damaged file may take beyond the program itself. The good ones here are below a megabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One kind of file.

    Attributes:
        path: where the damaged file is put and read.
        good: its content.
        read: returns something that can be compared; raises ``CompressError`` only.
        structure: returns a document damaged in its structure, or None where only bytes are damaged.
        settle: makes digests in other files right for a content.
        write: returns a file that says what ``read`` returned, or None where that takes more than the file.
        guarded: whether a digest protects the bytes, so that other content after damage to them is a fault.
    """

    path: Path
    good: bytes
    read: Read
    structure: Damage | None = None
    settle: Callable[[bytes], None] | None = None
    write: Callable[[Any], bytes] | None = None
    guarded: bool = True


def trial(subject: Subject, generator: random.Random) -> str:
    """Damage a file once; return one of ``FINE``, or what went wrong."""
    change = subject.structure if generator.random() < 0.5 else None
    content = change(generator) if change else damaged(subject.good, generator)
    _put(subject, subject.good)
    before = subject.read(subject.path)
    _put(subject, content if change else subject.good)  # digests in other files go with the structure only
    subject.path.write_bytes(content)
    try:
        after = subject.read(subject.path)
        if after == before:
            return "same"
        if subject.guarded and not change:
            return f"read as something else: {after}"[:500]
        return _edited(subject, after)
    except CompressError as error:
        return "refused" if error.hint and "\x1b" not in str(error) else f"no hint: {error}"
    except Exception:  # what a failure is
        return traceback.format_exc()


def _put(subject: Subject, content: bytes) -> None:
    subject.path.write_bytes(content)
    if subject.settle:
        subject.settle(content)


def _edited(subject: Subject, content: object) -> str:
    """Write what was read and read it again."""
    if subject.write is None:
        return "edited"
    subject.path.write_bytes(subject.write(content))
    try:
        again = subject.read(subject.path)
    except CompressError as error:
        return f"what was read cannot be read again: {error}"
    return "edited" if again == content else f"changes when it is written: {content} {again}"[:500]


@dataclass(slots=True)
class Campaign:
    """What many trials found.

    Attributes:
        counts: kind -> how its trials ended -> how often.
        failures: every failure, with its kind and seed.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, kind: str, seed: int, found: str) -> None:
        """Count a trial."""
        fine = found in FINE
        self.counts.setdefault(kind, Counter())[found if fine else "FAILED"] += 1
        if not fine:
            self.failures.append(f"{kind}, seed {seed}: {found}")


def campaign(
    kinds: Mapping[str, Callable[[Path], Subject]], *, seed: int, trials: int, minutes: float
) -> Campaign:
    """Damage every kind again and again, until there were as many trials of each or the time is over."""
    found, end = Campaign(), time.monotonic() + 60 * minutes
    with scratch() as folder:
        subjects = {}
        for kind, make in kinds.items():
            (folder / kind).mkdir()
            subjects[kind] = make(folder / kind)
        bound_memory(ROOM_BYTES)
        for number in range(seed, seed + trials):
            for kind, subject in subjects.items():
                found.add(kind, number, trial(subject, random.Random(f"{kind} {number}")))
            if time.monotonic() > end:
                break
    return found


def bound_memory(room_bytes: int) -> None:
    """Let this process take no more than ``room_bytes`` of address space beyond what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main(kinds: Mapping[str, Callable[[Path], Subject]]) -> int:
    """Run for some minutes or trials, print counts and failures as JSON; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--trials", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = campaign(kinds, seed=arguments.seed, trials=arguments.trials, minutes=arguments.minutes)
    print(json.dumps({"counts": found.counts, "failures": found.failures}, indent=1))
    return 1 if found.failures else 0
