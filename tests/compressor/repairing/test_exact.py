"""Where the small network can compute what the dense one does, repair finds out how."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from compressor.artifact import Artifact
from compressor.base.modules import named_tensors
from compressor.channels import ChannelGraph, trace
from compressor.repairing import RepairSettings, repair
from compressor.steps.plan import PrunePlan, removal
from compressor.steps.shrink import check, outputs_of, perturb_norms, relative_difference, shrink
from compressor.zoo import Architecture
from compressor.zoo.architecture import Architecture as Arch
from compressor.zoo.cifar_resnet import CifarResNet
from compressor.zoo.densenet_cifar import CifarDenseNet
from compressor.zoo.googlenet_cifar import CifarGoogLeNet
from compressor.zoo.inputs import InputSpec
from compressor.zoo.mobilenet_v2_cifar import InvertedResidual

Twins = dict[int, dict[int, int]]
"""Group -> unit that goes -> its twin that stays."""


def twins(graph: ChannelGraph, groups: list[int], share: int = 2) -> Twins:
    """Let all but the first units of some groups, one of ``share``, be twins of those."""
    kept = {index: -(-graph.groups[index].size // share) for index in groups}
    return {i: {unit: unit % few for unit in range(few, graph.groups[i].size)} for i, few in kept.items()}


def every_group(graph: ChannelGraph) -> Twins:
    return twins(graph, [i for i in graph.free if graph.groups[i].size > 1])


def concatenated(graph: ChannelGraph) -> Twins:
    """Groups whose consumers all have more rows than columns on few images: the first blocks."""
    first = ("conv1", "dense1.", "pre_layers", "inception_a3", "inception_b3")
    return twins(graph, [i for i in graph.free if graph.groups[i].name.startswith(first)])


def residual(graph: ChannelGraph) -> Twins:
    """Inner groups, and one unit of every stage: the same through both paddings."""
    stage = {
        "conv1": (15, 14),
        "layer1.0.conv2": (15, 14),
        "layer2.0.conv2": (23, 22),
        "layer3.0.conv2": (39, 38),
    }
    inner = [i for i in graph.free if graph.groups[i].name.endswith(".conv1")]
    found = twins(graph, inner)
    for index, group in enumerate(graph.groups):
        if group.name in stage:
            gone, stays = stage[group.name]
            found[index] = {gone: stays}
    return found


def with_twins(arch: Architecture, chosen: Callable[[ChannelGraph], Twins]) -> tuple[Artifact, Artifact]:
    """Return a dense model in which some channels are twins of others, and one without the twins."""
    torch.manual_seed(0)
    model = perturb_norms(arch.build()).eval()
    graph = trace(arch.view(model), arch.example())
    pairs = chosen(graph)
    tensors = named_tensors(model)
    for entry in graph.axes:
        if entry.role == "consumer" or entry.tensor not in tensors:
            continue
        place = {(int(g), int(u)): p for p, (g, u) in enumerate(zip(entry.group, entry.unit, strict=True))}
        for (group, unit), position in place.items():
            twin = pairs.get(group, {}).get(unit)
            if twin is not None and (group, twin) in place:
                values = tensors[entry.tensor].data
                values.select(entry.axis, position).copy_(values.select(entry.axis, place[group, twin]))
    keep = {
        i: torch.tensor([u for u in range(graph.groups[i].size) if u not in gone]).numpy()
        for i, gone in pairs.items()
    }
    plan = PrunePlan(arch=arch.name, steps=(removal(graph, keep, ()),))
    dense = replace(Artifact.of(model, arch), own=arch)
    return dense, dense.changed(
        shrink(model, plan), plan, check(model, plan, arch.example()), "without twins"
    )


def images(arch: Architecture, count: int, seed: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, count, 32):
        size = min(32, count - start)
        yield torch.randn(size, *arch.input.image, generator=generator), torch.zeros(size, dtype=torch.long)


class Plain(nn.Module):
    """Convolutions of all kinds in a row."""

    def __init__(self, num_classes: int = 5) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 8, 3, padding=1)
        self.two = nn.Conv2d(8, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.three = nn.Conv2d(8, 8, (1, 3), dilation=(1, 2))
        self.last = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.two(torch.relu(self.one(x))))
        x = torch.relu(self.three(self.norm(x)))
        return self.last(x.mean((2, 3)))


class Flat(nn.Module):
    """A linear layer that reads several pixels of every channel, and one behind a norm."""

    def __init__(self, num_classes: int = 5) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 8, 3, stride=2)
        self.two = nn.Conv2d(8, 8, 3)
        self.three, self.norm = nn.Linear(8 * 9, 16), nn.BatchNorm1d(16)
        self.last = nn.Linear(16, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.two(torch.relu(self.one(x))))
        return self.last(torch.relu(self.norm(self.three(x.flatten(1)))))


class Inceptions(nn.Module):
    """The stem of GoogLeNet and its first two blocks: branches that are concatenated, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        whole = CifarGoogLeNet()
        self.pre_layers = whole.pre_layers
        self.inception_a3, self.inception_b3 = whole.inception_a3, whole.inception_b3
        self.linear = nn.Linear(480, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.inception_b3(self.inception_a3(self.pre_layers(x))).mean((2, 3)))


class Inverted(nn.Module):
    """Blocks of MobileNet v2: depthwise convolutions, one block with a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.one, self.two = InvertedResidual(8, 12, 1, 4), InvertedResidual(12, 12, 1, 4)
        self.linear = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.two(self.one(torch.relu(self.stem(x)))).mean((2, 3)))


def small(name: str, constructor: Callable[..., nn.Module], side: int) -> Arch:
    return Arch(name=name, constructor=constructor, input=InputSpec(shapes=((3, side, side),)))


CASES = [
    (small("plain", Plain, 12), every_group, 64),
    (small("flat", Flat, 12), every_group, 256),
    (small("resnet8", partial(CifarResNet, depth=8), 32), residual, 96),
    (small("inverted", Inverted, 16), every_group, 64),
    (small("densenet16", partial(CifarDenseNet, depth=16), 32), concatenated, 20),
    (small("inceptions", Inceptions, 16), concatenated, 10),
]


@pytest.mark.parametrize(("arch", "chosen", "count"), CASES, ids=lambda v: getattr(v, "name", ""))
def test_what_twins_did_is_taken_over(
    arch: Architecture, chosen: Callable[[ChannelGraph], Twins], count: int
) -> None:
    dense, small = with_twins(arch, chosen)
    weights = {name: tensor.clone() for name, tensor in small.module.state_dict().items()}
    repaired = repair(dense, small, images(arch, count), settings=RepairSettings(rows=20_000, sweeps=2))
    probe = next(images(arch, count))[0][:8]  # ReLUs that never fired on them are nobody's business
    expected = outputs_of(dense.module, [probe])
    assert relative_difference(expected, outputs_of(small.module, [probe])) > 1e-2
    assert relative_difference(expected, outputs_of(repaired.module, [probe])) < 1e-5
    assert all(torch.equal(tensor, weights[name]) for name, tensor in small.module.state_dict().items())
    report = repaired.manifest.repair
    assert report is not None
    assert all(layer.after <= layer.before for layer in report.layers)
