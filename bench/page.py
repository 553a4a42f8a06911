"""``bench/README.md``, one section per study that has something to show: ``python -m bench.page`` writes it.

A study with a section has a file ``page.py`` with a `bench.section.Section` named ``SECTION``, and keeps what it
shows in ``results.json`` beside it. Nothing here knows a study by name: the folder is looked into.
"""

import json
from importlib import import_module, resources
from pathlib import Path
from typing import Final

from bench.section import Section

PAGE: Final = Path(__file__).with_name("README.md")
_HEAD: Final = (
    "# Measurements\n\nWritten by `python -m bench.page` from the files `studies/*/results.json`, which hold the raw\n"
    "samples and the machine. `make bench` measures the timed ones again. Times are of a shared two-core\n"
    "machine: read the ratios.\n"
)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


def page(package: str = "bench.studies") -> str:
    """Return the page for the results that exist."""
    made = [
        section.text(json.loads((study / "results.json").read_text()))
        for study, section in sections(package).items()
        if (study / "results.json").exists()
    ]
    return "\n".join([_HEAD, *made])


def sections(package: str = "bench.studies") -> dict[Path, Section]:
    """Return the sections in the order of the page, by folder of the study.

    Args:
        package: what the studies are sub-packages of.
    """
    folder = Path(str(resources.files(package)))
    found: dict[Path, Section] = {
        file.parent: import_module(f"{package}.{file.parent.name}.page").SECTION
        for file in sorted(folder.glob("*/page.py"))
    }
    return dict(sorted(found.items(), key=lambda study: study[1].order))


if __name__ == "__main__":
    main()
