"""Where the small network can compute what the dense one does, repair finds out how."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from compressor.artifact import Artifact
from compressor.base.modules import named_tensors
from compressor.channels import ChannelGraph, trace
from compressor.repairing import RepairSettings, repair
from compressor.steps.plan import PrunePlan, removal
from compressor.steps.shrink import check, outputs_of, perturb_norms, relative_difference, shrink
from compressor.zoo import Architecture, find
from compressor.zoo.architecture import Architecture as Arch
from compressor.zoo.inputs import InputSpec

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


def flattened(graph: ChannelGraph) -> Twins:
    names = [group.name for group in graph.groups]
    last = [name for name in names if name.startswith("features.conv")][-1]
    return twins(graph, [names.index(name) for name in ("features.conv0", last, "classifier.linear1")], 8)


def residual(graph: ChannelGraph) -> Twins:
    """Inner groups, and one unit of every stage: the same through both paddings of resnet20_cifar."""
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


PLAIN = Arch(name="plain", constructor=Plain, input=InputSpec(shapes=((3, 12, 12),)))

CASES = [
    (PLAIN, every_group, 64),
    (find("resnet20_cifar"), residual, 96),
    (find("mobilenet_v2_cifar"), every_group, 64),
    (find("densenet40_cifar"), concatenated, 20),
    (find("googlenet_cifar"), concatenated, 10),
    (find("vgg16_bn_cifar"), flattened, 100),
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
