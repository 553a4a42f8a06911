"""Every recipe file: it is understood, and its pruned network costs exactly what it says."""

import csv
from pathlib import Path

import pytest

from compressor.chain.files import pipeline_from_tables, read_tables
from compressor.chain.recipes import dry_run
from compressor.chain.settings import Pipeline

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
    assert pipeline.training.epochs > 0
    cost = dry_run(pipeline).manifest.cost_after  # refuses another cost by itself, in the program's words
    assert (cost.params, cost.macs) == (pipeline.expect.params, pipeline.expect.macs)


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
