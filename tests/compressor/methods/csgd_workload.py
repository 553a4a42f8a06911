"""Training under the centripetal force as a process of its own, to be started on several workers."""

import sys
from pathlib import Path

import torch
from torch import nn

from compressor.base import distributed
from compressor.channels import trace
from compressor.data import open_data
from compressor.methods.csgd import clusters
from compressor.methods.csgd.centripetal import Centripetal, Force
from compressor.methods.csgd.ties import ties_of
from compressor.tasks.recipe import Recipe
from compressor.training import fine_tune, init_from_env
from compressor.zoo.inputs import InputSpec

RECIPE = Recipe(epochs=20, batch_size=24, lr=0.05, seed=3, schedule="step")


def build() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 10)
    )


def main(out: Path) -> None:
    torch.set_num_threads(1)
    model = build()
    graph = trace(model, [torch.randn(1, 3, 8, 8)])
    found = {
        graph.by_producer[name]: tuple(map(tuple, clusters(model.get_submodule(name).weight, 4)))  # type: ignore[arg-type]
        for name in ("0", "2")
    }
    constraint = Centripetal(ties_of(graph, found), Force(strength=2.0, vectors=0.5, bias_lr=2.0))
    data = open_data("synthetic:140x3x8x8", InputSpec(shapes=((3, 8, 8),))).unvalidated()
    with init_from_env(torch.device("cpu")) as device:
        result = fine_tune(model, data, RECIPE, device=device, constraint=constraint)
        measures = result.history[-1].measures
        torch.save({"weights": model.state_dict(), **measures}, out / f"{distributed.rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
