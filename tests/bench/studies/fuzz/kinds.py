"""All kinds of files, those of the command line included; run as a program, it damages them."""

import sys
from pathlib import Path
from typing import Any

import torch

from bench.studies.fuzz.kinds import KINDS, document_kind
from bench.studies.fuzz.trials import Subject, main
from compressor.base.documents import encode, read_json
from compressor.chain.files import pipeline_from_tables, read_tables
from compressor.chain.record import RunRecord
from compressor.chain.work import Stage
from compressor.chain.work.export import Export
from compressor.cli.inspect_cache import DENSE, open_qualities

_RECIPE = '[model]\narch = "resnet20_cifar"\n[prune]\nmacs = 0.5\n[training]\nepochs = 3\nlr = 0.1\n'


def _recipe(folder: Path) -> Subject:
    path = folder / "r.toml"
    path.write_text(_RECIPE)

    def read(file: Path) -> Any:
        return encode(pipeline_from_tables(read_tables(file), where=str(file)))

    return Subject(path=path, good=path.read_bytes(), read=read, guarded=False)


def _list(folder: Path) -> Subject:
    path = folder / "plot.jsonl"
    qualities = open_qualities(path, {"model": "m"})
    for key in (DENSE, ("a", 1), ("b", 2)):
        qualities.get(key, lambda: 50.0)

    def read(file: Path) -> Any:
        return open_qualities(file, {"model": "m"}).known

    return Subject(path=path, good=path.read_bytes(), read=read, guarded=False)


def _run(folder: Path) -> Subject:
    settings = {"seed": 0, "prune": {"rate": 0.5}}
    record = RunRecord.open(folder, settings)
    record.start(_RECIPE)
    (folder / "a.bin").write_bytes(b"made")
    record.add(Stage(name="prune", output="a.bin", work=Export()))

    def read(_: Path) -> Any:
        found = RunRecord.open(folder, settings)
        stages = [encode(stage) for stage in found._stages.values()]
        return {"schema_version": 1, "settings": settings, "stages": stages}

    return document_kind(folder / "run.json", read_json(folder / "run.json"), read)


ALL = {**KINDS, "recipe": _recipe, "list": _list, "run": _run}

if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(ALL))
