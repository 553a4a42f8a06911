"""Pipeline files: TOML in, a ``Pipeline`` out, and back."""

import copy
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compressor.base.documents import read_toml
from compressor.base.errors import UsageError
from compressor.base.options import from_table
from compressor.base.registry import unknown_name
from compressor.chain.settings import (
    DataTable,
    ExpectTable,
    ExportTable,
    ModelTable,
    Pipeline,
    PruneTable,
    RepairTable,
)
from compressor.tasks.recipe import recipe_from_table

Tables = dict[str, Any]


def read_tables(path: Path) -> Tables:
    """Return the tables of a TOML file as they stand there.

    Raises:
        UsageError: the file is missing or no TOML.
    """
    return read_toml(path, "give a TOML file with [model] and [prune]; see recipes/.")


def with_changes(tables: Tables, changes: Mapping[str, object]) -> Tables:
    """Return tables with some values replaced.

    Args:
        tables: as read from a file.
        changes: ``table.key`` -> value; a key without a table belongs to ``training``.

    Raises:
        UsageError: a key leads through something that is no table.
    """
    changed = copy.deepcopy(tables)
    for key, value in changes.items():
        *path, last = key.split(".") if "." in key else ("training", key)
        table = changed
        for name in path:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise UsageError(f"cannot set {key}: {name} is no table", "write table.key=value.")
        table[last] = value
    return changed


def pipeline_from_tables(tables: Mapping[str, Any], *, where: str) -> Pipeline:
    """Return the pipeline that TOML tables describe; ``where`` names their origin in errors.

    Raises:
        UsageError: a table or key is unknown (close ones are suggested) or missing, or a value has the wrong
            type or is out of range.
    """
    names = [field.name for field in dataclasses.fields(Pipeline)]
    for name, table in tables.items():
        if name not in names:
            error = unknown_name("table", name, names)
            raise UsageError(f"{where}: {error.message}", error.hint)
        if not isinstance(table, dict):
            raise UsageError(f"{where}: {name} is {table!r}", f"make it a table: [{name}].")
    for name in ("model", "prune"):
        if name not in tables:
            raise UsageError(f"{where}: there is no [{name}]", "a recipe needs [model] and [prune].")
    return Pipeline(
        model=from_table(ModelTable, tables["model"], f"{where}: [model]"),
        prune=from_table(PruneTable, tables["prune"], f"{where}: [prune]"),
        data=from_table(DataTable, tables["data"], f"{where}: [data]") if "data" in tables else None,
        between=recipe_from_table(tables.get("between", {"epochs": 0}), where=f"{where}: [between]"),
        training=recipe_from_table(tables.get("training", {}), where=f"{where}: [training]"),
        export=from_table(ExportTable, tables.get("export", {}), f"{where}: [export]"),
        expect=from_table(ExpectTable, tables.get("expect", {}), f"{where}: [expect]"),
        repair=from_table(RepairTable, tables["repair"], f"{where}: [repair]")
        if "repair" in tables
        else None,
    )


def pipeline_to_toml(pipeline: Pipeline) -> str:
    """Return every setting of ``pipeline`` as TOML; what is None is left out."""
    tables = {name: table for name, table in dataclasses.asdict(pipeline).items() if table is not None}
    return "\n".join(f"[{name}]\n{_lines(table)}" for name, table in tables.items())


def _lines(table: Tables) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items() if value is not None)


def _value(value: object) -> str:
    # booleans, numbers, strings and arrays of them are written alike in JSON and TOML
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return json.dumps(value)
