"""All timed benchmarks, one after the other, and the page: ``make bench``."""

import subprocess
import sys

PARTS = (
    "bench.prune_speed",
    "bench.coring_speed",
    "bench.rounding",
    "bench.alignment",
    "bench.int8_speed",
    "bench.detectors",
    "bench.tables",
)


def main() -> None:
    """Run each part in a process of its own, so that none inherits threads or caches of another."""
    for part in PARTS:
        print(f"== {part}", flush=True)
        subprocess.run([sys.executable, "-m", part], check=True)


if __name__ == "__main__":
    main()
