"""A training run as a process of its own, to be killed, resumed, or started on several workers.

The last line that rank 0 writes to ``--out`` is the result: history, accuracy and weights.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import torch
from torch import nn

from compressor.base import distributed
from compressor.data import open_data
from compressor.tasks.recipe import Recipe
from compressor.training import FREE, Free, evaluate, fine_tune, init_from_env
from compressor.zoo.inputs import InputSpec

RECIPE = Recipe(epochs=4, batch_size=24, lr=0.05, warmup_epochs=0.5, label_smoothing=0.1, ema=0.9, seed=3)


class Stalling:
    """A training split that stops for good in the middle of one epoch."""

    def __init__(self, images, epoch, sign):
        self.images, self.epoch, self.sign = images, epoch, sign
        self.indices = images.indices

    def __len__(self):
        return len(self.images)

    def training_batches(self, recipe, *, epoch, **where):
        for step, batch in enumerate(self.images.training_batches(recipe, epoch=epoch, **where)):
            if epoch == self.epoch and step == 2:
                self.sign.touch()
                time.sleep(600)
            yield batch


class Collapse(Free):
    """Draws the filters of the first layer together, and keeps one weight of the last at zero."""

    def before_step(self, model, lr):
        layer = model[0].weight
        layer.grad.copy_(layer.grad.mean(dim=0, keepdim=True) + 0.3 * (layer - layer.mean(dim=0)))

    def after_step(self, model):
        model[-1].weight[0, 0] = 0

    def identity(self):
        return {"kind": "collapse"}

    def measure(self, model):
        return {"spread": model[0].weight.std(dim=0).mean().item()}


def build(*, norm):
    """Return a small network; with ``norm`` one that has buffers and random numbers of its own."""
    torch.manual_seed(1)
    extra = [nn.BatchNorm2d(8), nn.Dropout(0.2)] if norm else []
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), *extra, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10))
    )


def run(arguments, device):
    data = open_data("synthetic:140x3x8x8", InputSpec(shapes=((3, 8, 8),)))
    if arguments.stall:
        train = Stalling(data.train, arguments.stall, arguments.run_dir / "stalled")
        data = dataclasses.replace(data, train=train)
    model = build(norm=arguments.norm)
    recipe = dataclasses.replace(RECIPE, accumulate=arguments.accumulate)
    result = fine_tune(
        model, data, recipe, run_dir=arguments.run_dir, device=device, resume=arguments.resume,
        constraint=Collapse() if arguments.collapse else FREE,
    )  # fmt: skip
    accuracy = evaluate(model, data.test, batch_size=7, device=device)
    return {
        "best_epoch": result.best_epoch,
        "history": [dataclasses.asdict(record) for record in result.history],
        "accuracy": dataclasses.asdict(accuracy),
        "weights": model.state_dict(),
        "world": distributed.world(),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--stall", type=int, default=0)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--collapse", action="store_true")
    parser.add_argument("--norm", action="store_true")
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with init_from_env(torch.device("cpu")) as device:
        result = run(arguments, device)
        if distributed.rank() == 0:
            torch.save(result, arguments.out)


if __name__ == "__main__":
    main()
