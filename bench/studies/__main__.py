"""All timed studies, one after the other, and the page: ``make bench``."""

import subprocess
import sys

from bench.page import sections


def main() -> None:
    """Run each part in a process of its own, so that none inherits threads or caches of another."""
    timed = [f"bench.studies.{study.name}.run" for study, section in sections().items() if section.timed]
    for part in (*timed, "bench.page"):
        print(f"== {part}", flush=True)
        subprocess.run([sys.executable, "-m", part], check=True)


if __name__ == "__main__":
    main()
