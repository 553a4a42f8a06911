"""What fell short in trust, on two checkouts: ``python -m bench.studies.trust.run BEFORE AFTER``.

Each row does by commands what was once found to fall short. A row *falls short* where a stranger's code runs,
a figure is wrong, work is lost, or a mistake ends without a sentence. The exit code is 1 where a row falls
short in AFTER. What is not in the rows, since it is no command: documents and digests (`bench.studies.fuzz`),
wrong exported files and detectors (``tests/export``, `bench.studies.random_detectors`), kills
(``tests/kills``).
"""

import argparse
import sys
from pathlib import Path
from typing import Final

import torch

from bench.studies.common.results import results_of
from bench.studies.trust import figures, lost, rows, workers
from bench.studies.trust.registry import ROWS
from bench.studies.trust.shell import NET, Shell
from compressor.base.documents import read_json, write_json
from compressor.base.files import scratch
from compressor.zoo import find

RESULTS: Final = results_of("trust")
FILES: Final = (rows, figures, lost, workers)
"""They add rows."""


def main() -> None:
    """Try all rows on both checkouts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rows", nargs="+", choices=sorted(ROWS), help="only these")
    args = parser.parse_args()
    found: dict[str, dict[str, str]] = {}
    with scratch() as folder:
        rooms = {"before": args.before, "after": args.after}
        models = {name: _models(tree.resolve(), folder / name) for name, tree in rooms.items()}
        for title in args.rows or ROWS:
            found[title] = {}
            for name, tree in rooms.items():
                place = folder / name / str(len(found))
                place.mkdir()
                shell = Shell(tree=tree.resolve(), place=place, models=models[name])
                found[title][name] = ROWS[title](shell)
            verdicts = [f"{name}: {said or 'holds'}" for name, said in found[title].items()]
            print(f"{title}: {'; '.join(verdicts)}", flush=True)
    known = read_json(RESULTS)["rows"] if args.rows and RESULTS.exists() else {}
    write_json(RESULTS, {"schema_version": 1, "rows": {**known, **found}})
    fell = {name: [row for row, said in found.items() if said[name]] for name in rooms}
    print(f"{len(fell['before'])} of {len(found)} fell short before, {len(fell['after'])} do now")
    sys.exit(bool(fell["after"]))


def _models(tree: Path, folder: Path) -> dict[str, Path]:
    """Return what the rows share, made by the checkout itself; an export of a name came later."""
    folder.mkdir()
    shell = Shell(tree=tree, place=folder)
    models = {"artifact": folder / "artifact", "fp32": folder / "fp32.onnx", "fp16": folder / "fp16.onnx"}
    for words in (
        ("prune", NET, "--rate", "0.5", "-o", "artifact"),
        ("export", "artifact", "-o", "fp32.onnx"),
        ("export", "artifact", "--precision", "fp16", "-o", "fp16.onnx"),
    ):
        done = shell.run(*words)
        assert done.returncode == 0, done.stderr
    torch.manual_seed(0)
    models["weights"] = folder / "weights.pth"
    torch.save(find(NET).build().state_dict(), models["weights"])
    return models


if __name__ == "__main__":
    main()
