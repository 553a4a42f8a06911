"""Every recipe file: it is understood, and its pruned network costs exactly what it says."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from compressor.chain.files import pipeline_from_tables, read_tables
from compressor.chain.recipes import dry_run
from compressor.chain.settings import Pipeline
from compressor.channels import trace
from compressor.methods import method_of
from compressor.rates.allocate import allocate
from compressor.rates.turns import turns_of
from compressor.zoo import find

RECIPES = Path(__file__).parent.parent / "recipes"
FILES = sorted(RECIPES.rglob("*.toml"))
ARCHITECTURES = {
    "vgg_16_bn": "vgg16_bn_cifar",
    "resnet_56": "resnet56_cifar",
    "densenet_40": "densenet40_cifar",
    "googlenet": "googlenet_cifar",
    "mobilenet_v2": "mobilenet_v2_cifar",
    "mobilenet_v2_imagenet": "mobilenet_v2",
    "resnet_50": "resnet50",
}
LAYOUTS = {"CORING": "coring", "Central-Filter": "central-filter"}


def pipeline_of(path: Path) -> Pipeline:
    return pipeline_from_tables(read_tables(path), where=str(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(RECIPES)))
def test_a_recipe_prunes_to_the_cost_that_it_states(path: Path) -> None:
    pipeline = pipeline_of(path)
    assert pipeline.expect.params is not None
    assert pipeline.expect.macs is not None
    assert pipeline.data is None, "recipes name no folder of anyone's machine"
    assert pipeline.training.epochs + pipeline.between.epochs > 0
    # Widths are the string's, whatever chooses and in however many turns: no images are looked at here.
    table = replace(pipeline.prune, method="l1", options={}, turns=(), undo=False)
    looks = method_of(pipeline.prune.method, pipeline.prune.options, seed=0).looks
    tried = replace(pipeline, prune=table) if looks else pipeline
    cost = dry_run(tried).manifest.cost_after  # refuses another cost by itself, in the program's words
    assert (cost.params, cost.macs) == (pipeline.expect.params, pipeline.expect.macs)


@pytest.mark.parametrize(
    "path", [path for path in FILES if pipeline_of(path).prune.turns], ids=lambda path: path.stem
)
def test_every_turn_of_a_recipe_cuts_something_and_nothing_is_forgotten(path: Path) -> None:
    pipeline = pipeline_of(path)
    arch = find(pipeline.model.arch)
    graph = trace(arch.build(), arch.example())
    kept = allocate(graph, pipeline.prune.request(), {}, arch.layouts, arch.name).kept
    turns = turns_of(graph, pipeline.prune.turns)
    cut = {turn for turn, units, group in zip(turns, kept, graph.groups, strict=True) if units < group.size}
    assert cut == set(range(1, len(pipeline.prune.turns) + 1))


def test_every_published_row_with_rates_has_a_recipe(shared: Path) -> None:
    with (shared / "golden" / "tables.csv").open(newline="") as file:
        published = {
            (LAYOUTS[row["source"]], ARCHITECTURES[row["arch"]], row["compress_rate_used"]): (
                int(row["measured_params"]),
                int(row["measured_conv_linear_MACs"]),
            )
            for row in csv.DictReader(file)
            if row["source"] in LAYOUTS and row["arch"] in ARCHITECTURES and row["compress_rate_used"]
        }
    pipelines = [p for p in map(pipeline_of, FILES) if p.prune.rates is not None]
    ours = {
        (p.prune.layout, p.model.arch, p.prune.rates): (p.expect.params, p.expect.macs) for p in pipelines
    }
    assert ours == published
