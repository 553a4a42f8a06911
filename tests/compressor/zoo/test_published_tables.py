"""Every row of the published tables: plan, shrink and count must give the published network exactly."""

import csv
import os
from pathlib import Path
from typing import Any

import pytest

from compressor import zoo
from compressor.channels.cost import measure
from compressor.criteria import CRITERIA
from compressor.methods.ranking import make_plan
from compressor.rates import PruneRequest, Published
from compressor.steps.shrink import shrink

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
SHARED = Path(os.environ.get("COMPRESS_SHARED", Path(__file__).parents[3].parent / "shared"))
TABLES = SHARED / "golden" / "tables.csv"


def _rows() -> list[Any]:
    if not TABLES.is_file():
        return [
            pytest.param({}, id="absent", marks=pytest.mark.skip(reason=f"no published tables at {TABLES}"))
        ]
    with TABLES.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["source"] in LAYOUTS and r["arch"] in ARCHITECTURES]
    return [
        pytest.param(r, id="-".join((r["source"], r["arch"], r["row"], r["compress_rate_used"])))
        for r in rows
    ]


@pytest.mark.parametrize("row", _rows())
def test_a_published_network_comes_out_exactly(row: dict[str, str]) -> None:
    arch = zoo.find(ARCHITECTURES[row["arch"]])
    model = arch.build()
    if row["compress_rate_used"]:
        spec = PruneRequest(target=Published(row["compress_rate_used"], LAYOUTS[row["source"]]))
        assert len(arch.layouts[LAYOUTS[row["source"]]].expected) == int(row["n_entries"])
        model = shrink(model, make_plan(model, arch, spec, CRITERIA.get("l1")()).plan)
    cost = measure(model, arch.example())
    assert cost.params == int(row["measured_params"])
    assert cost.macs == int(row["measured_conv_linear_MACs"])
    assert cost.thop_macs == int(row["measured_thop_0_1_1_MACs"])
