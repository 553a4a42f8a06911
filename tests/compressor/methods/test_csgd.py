"""Centripetal SGD: against the authors' vectors, by its algebra, and as a method from start to cut."""

import copy
import dataclasses
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from compressor.artifact import Artifact
from compressor.base.errors import ParityError, UsageError
from compressor.channels import trace
from compressor.data import open_data
from compressor.methods import METHODS, method_of, prune, rehearsed
from compressor.methods.csgd import Clustered, Csgd, clusters, update_matrices
from compressor.methods.csgd.centripetal import Centripetal, Force
from compressor.methods.csgd.clustering import KINDS
from compressor.methods.csgd.ties import Grouped, distance, ties_of
from compressor.methods.csgd.tracks import pacesetter, shares
from compressor.rates import PruneRequest, Share
from compressor.steps.plan import plan_from_json, plan_to_json
from compressor.steps.shrink import ORACLE_LIMIT, outputs_of, perturb_norms, relative_difference, shrink
from compressor.tasks.recipe import Recipe
from compressor.training import fine_tune
from compressor.zoo import Architecture, find
from compressor.zoo.inputs import InputSpec

Vectors = dict[str, Any]
TOLERANCE = 1e-6  # of every vector, by the manifest


class Layer(nn.Module):
    """What the vectors call a and b."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = torch.relu(self.bn(self.conv(x)))
        return out


class Net(nn.Module):
    """The network behind the vectors."""

    def __init__(self, a: int = 6, b: int = 5) -> None:
        super().__init__()
        self.a, self.b, self.fc = Layer(3, a), Layer(a, b), nn.Linear(b, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.b(self.a(x)).mean((2, 3)))
        return out


@pytest.fixture
def golden(shared: Path) -> Vectors:
    with np.load(shared / "golden" / "vectors" / "csgd.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file if file[name].dtype.kind != "U"}


def golden_clusters(golden: Vectors) -> dict[str, list[list[int]]]:
    found = {}
    for name, key in (("a", "clusters_layer0"), ("b", "clusters_layer1")):
        ids = golden[key].tolist()
        found[name] = [[i for i, c in enumerate(ids) if c == cluster] for cluster in sorted(set(ids))]
    return found


def state_of(model: nn.Module, found: dict[str, list[list[int]]], shape: tuple[int, ...]) -> Clustered:
    arch = Architecture(name="net", constructor=lambda: model, input=InputSpec(shapes=(shape,)))
    graph = trace(model, arch.example())
    named = {graph.by_producer[f"{layer}.conv"]: tuple(map(tuple, c)) for layer, c in found.items()}
    return Clustered(arch=arch, graph=graph, decisions=(), clusters=named)


def load(golden: Vectors, prefix: str, **widths: int) -> nn.Module:
    model = Net(**widths)
    found = {key.removeprefix(prefix): value for key, value in golden.items() if key.startswith(prefix)}
    model.load_state_dict(found, strict=False)
    return model.eval()


def test_matrices_are_the_authors(golden: Vectors) -> None:
    strength = float(golden["centri_strength"])
    for layer, found in golden_clusters(golden).items():
        for tensor in ("conv.weight", "conv.bias", "bn.weight", "bn.bias"):
            kernel = tensor == "conv.weight"
            decay = float(golden["weight_decay" if kernel else "weight_decay_bias"])
            average, pull = update_matrices(found, decay, strength if kernel else 0.1 * strength)
            same = {"rtol": 0, "atol": TOLERANCE}
            torch.testing.assert_close(average, golden[f"merge_matrix__{layer}.{tensor}"], **same)
            torch.testing.assert_close(pull, golden[f"decay_matrix__{layer}.{tensor}"], **same)


def test_two_steps_are_the_authors(golden: Vectors) -> None:
    model = load(golden, "before__").train()
    state = state_of(model, golden_clusters(golden), (3, 6, 6))
    # what tracing ran in evaluation mode, no statistics moved
    constraint = Csgd(strength=float(golden["centri_strength"])).constraint(state)
    decay, lr = float(golden["weight_decay"]), float(golden["lr"])
    optimizer = torch.optim.SGD(
        constraint.parameters(model),
        lr=lr,
        momentum=float(golden["momentum"]),
        nesterov=True,
        weight_decay=decay,
    )
    model.train()
    for step in (1, 2):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(golden["x"]), golden["y"]).backward()
        raw = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        with torch.no_grad():
            constraint.before_step(model, lr)
        optimizer.step()
        for name, parameter in model.named_parameters():
            same = {"rtol": 0, "atol": TOLERANCE, "msg": lambda m, n=name: f"{n}: {m}"}
            if step == 1:
                torch.testing.assert_close(raw[name], golden[f"raw_grad__{name}"], **same)
            assert parameter.grad is not None
            # the decay of kernels is the optimiser's, and twice the rate is twice the gradient
            handed = parameter.grad / (2 if name.endswith("bias") else 1)
            if name.endswith("conv.weight"):
                handed = handed + decay * before[name]
            torch.testing.assert_close(handed, golden[f"csgd_grad_step{step}__{name}"], **same)
            torch.testing.assert_close(parameter.detach(), golden[f"after_step{step}__{name}"], **same)


def test_the_trimmed_network_is_the_authors(golden: Vectors) -> None:
    model = load(golden, "collapsed__")
    state = state_of(model, golden_clusters(golden), (3, 6, 6))
    planned = Csgd().finish(model, state)
    small = shrink(model, planned.plan)
    expected = {k.removeprefix("pruned__"): v for k, v in golden.items() if k.startswith("pruned__")}
    ours = small.state_dict()
    assert ours.keys() == expected.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=TOLERANCE)
    for network, key in ((model, "out_collapsed"), (small, "out_pruned")):
        torch.testing.assert_close(outputs_of(network, [golden["x"]])[0], golden[key], rtol=0, atol=TOLERANCE)


def test_projections_set_the_pace_of_residual_stages(shared: Path) -> None:
    """ResNet-50, whose layers the authors count with each projection before its block."""
    with np.load(shared / "golden" / "vectors" / "csgd.npz") as file:
        follow = file["resnet50_follow"].tolist()
    arch = find("resnet50").with_options(shapes=((3, 32, 32),))
    graph = trace(arch.build(), arch.example())
    stages = [(i, g) for i, g in enumerate(graph.groups) if len(g.producers) > 1]
    names = [pacesetter(graph, index) for index, _ in stages]
    assert names == [f"layer{n}.0.downsample.0.weight" for n in range(1, 5)]
    sizes = [len(group.producers) for _, group in stages]
    assert sizes == [sum(leader == pace for _, leader in follow) for pace in sorted({p for _, p in follow})]


WEIGHTS = st.integers(1, 24).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(1, n), st.integers(0, 5), st.sampled_from(sorted(KINDS)))
)


@settings(deadline=None, max_examples=60)
@given(WEIGHTS, st.booleans())
def test_clusters_share_out_all_filters(case: tuple[int, int, int, str], twins: bool) -> None:
    filters, count, seed, kind = case
    weight = torch.randn(filters, 2, 3, generator=torch.Generator().manual_seed(seed))
    if twins:
        weight[filters // 2 :] = weight[0].clone()
    found = clusters(weight, count, kind, seed)
    assert sorted(i for cluster in found for i in cluster) == list(range(filters))
    assert len(found) == count
    assert all(found)
    assert found == sorted(found) == clusters(weight, count, kind, seed)
    if kind != "magnitude":
        assert all(cluster == sorted(cluster) for cluster in found)


def test_each_kind_is_what_it_says() -> None:
    weight = torch.tensor([[1.0], [9.0], [1.1], [-8.0], [5.0], [9.2], [5.1]])
    assert clusters(weight, 4, "kmeans") == [[0, 2], [1, 5], [3], [4, 6]]
    assert clusters(weight, 3, "even") == [[0, 1, 2], [3, 4], [5, 6]]
    assert clusters(weight, 3, "imbalanced") == [[0, 1, 2, 3, 4], [5], [6]]
    assert clusters(weight, 3, "magnitude") == [[1, 0, 2, 4, 6], [3], [5]]


def test_mistakes_about_clusters_are_told() -> None:
    weight = torch.randn(4, 3)
    with pytest.raises(UsageError, match=r"unknown kind of clusters 'kmean'.*\n.*kmeans"):
        clusters(weight, 2, "kmean")
    with pytest.raises(UsageError, match="5 clusters of 4 filters"):
        clusters(weight, 5)
    weight[1, 1] = math.nan
    with pytest.raises(UsageError, match="not finite"):
        clusters(weight, 2)
    for wrong in ([[0, 1], [1]], [[0, 2]], [[0], [-1]]):
        with pytest.raises(UsageError, match="do not hold each of"):
            update_matrices(wrong, 0.0, 0.1)
    with pytest.raises(
        UsageError, match="2 units are too few for 3 different channels that its shortcut carries"
    ):
        shares([[0], [1], [2]], 2, "layer2")


@settings(deadline=None, max_examples=40)
@given(WEIGHTS, st.floats(0, 0.1), st.floats(0, 1))
def test_means_learn_and_what_sets_filters_apart_decays(
    case: tuple[int, int, int, str], decay: float, strength: float
) -> None:
    filters, count, seed, kind = case
    generator = torch.Generator().manual_seed(seed)
    weight, gradient = torch.randn(2, filters, 7, generator=generator).unbind()
    average, pull = update_matrices(clusters(weight, count, kind), decay, strength)
    used = average @ gradient + pull @ weight
    centre = average @ weight
    torch.testing.assert_close(average @ used, average @ gradient + decay * centre, atol=1e-5, rtol=1e-4)
    apart = used - average @ used
    torch.testing.assert_close(apart, (decay + strength) * (weight - centre), atol=1e-5, rtol=1e-4)


@cache
def dense(name: str) -> Artifact:
    torch.manual_seed(0)
    arch = find(name)
    arch = arch.with_options(shapes=((3, 64, 64),)) if "rcnn" in name else arch
    artifact = Artifact.dense(arch)
    perturb_norms(artifact.module)
    return artifact


NETWORKS = ("resnet20_cifar", "densenet40_cifar", "mobilenet_v2_cifar", "googlenet_cifar")


@settings(deadline=None, max_examples=6)
@given(
    st.sampled_from(NETWORKS),
    st.floats(0.1, 0.8),
    st.sampled_from(["even", "imbalanced", "magnitude"]),
    st.integers(0, 9),
)
def test_trimming_is_lossless_where_clusters_agree(name: str, rate: float, kind: str, seed: int) -> None:
    require_lossless(dense(name), PruneRequest(target=Share(rate)), Csgd(clusters=kind, seed=seed), seed)


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "fasterrcnn_mobilenet_v3_large_fpn"])
def test_grouped_convolutions_and_detectors_are_trimmed_too(name: str) -> None:
    require_lossless(dense(name), PruneRequest(target=Share(0.4)), Csgd(clusters="even"), 1)


def require_lossless(artifact: Artifact, request: PruneRequest, method: Csgd, seed: int) -> None:
    state = method.start(artifact, request, None)
    model = rehearsed(artifact.module, method.constraint(state))
    assert distance(model, state.ties) < 1e-6 < distance(artifact.module, state.ties)
    planned = method.finish(model, state)
    assert planned.plan.steps[0].lossless
    small = shrink(model, planned.plan)
    inputs = artifact.arch.example(batch=1, seed=seed + 1)
    view = artifact.arch.view
    assert relative_difference(outputs_of(view(model), inputs), outputs_of(view(small), inputs)) < 1e-4
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    assert plan_from_json(plan_to_json(planned.plan)) == planned.plan


class Small(nn.Module):
    """Two blocks with a shortcut around the second, for digits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.inner = nn.Conv2d(12, 16, 3, padding=1, bias=False)
        self.inner_norm = nn.BatchNorm2d(16)
        self.outer = nn.Conv2d(16, 12, 1)
        self.fc = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.outer(torch.relu(self.inner_norm(self.inner(x)))))
        out: Tensor = self.fc(x.mean((2, 3)))
        return out


ARCH = Architecture(name="small", constructor=Small, input=InputSpec(shapes=((3, 16, 16),)))
HALF = PruneRequest(target=Share(0.5))
STRONG = Csgd(strength=4.0, vectors=0.5)
RECIPE = Recipe(epochs=3, batch_size=32, lr=0.05, schedule="step")


def own(model: nn.Module) -> Artifact:
    return dataclasses.replace(Artifact.of(model, ARCH), own=ARCH)


def small() -> Artifact:
    torch.manual_seed(3)
    return own(ARCH.build())


def trained(spec: str, recipe: Recipe) -> Callable[[nn.Module, Any], nn.Module]:
    def training(model: nn.Module, constraint: Any) -> nn.Module:
        model = copy.deepcopy(model)
        data = open_data(spec, ARCH.input).unvalidated()
        result = fine_tune(model, data, recipe, constraint=constraint)
        found = [record.measures["distance"] for record in result.history]
        assert found == sorted(found, reverse=True)
        return model

    return training


def test_a_strong_force_collapses_and_the_trim_loses_nothing() -> None:
    spec = "digits"
    made = prune(small(), HALF, STRONG, words="csgd", training=trained(spec, RECIPE))
    step = made.manifest.plan.steps[0]
    assert step.lossless
    assert made.manifest.oracle is not None
    assert made.manifest.oracle.max_relative_difference is not None
    assert made.manifest.oracle.max_relative_difference < ORACLE_LIMIT
    assert [(g.size, g.kept) for g in step.decisions if g.kept < g.size] == [(12, 6), (16, 8)]


def test_what_has_not_collapsed_is_refused_with_the_distance() -> None:
    artifact = small()
    with pytest.raises(
        ParityError, match=r"have not collapsed: .* differs .* by \d.* of their length"
    ) as told:
        prune(artifact, HALF, STRONG, words="")
    assert "--option loss=" in told.value.hint
    made = prune(artifact, HALF, dataclasses.replace(STRONG, loss=1e9), words="")
    plan = made.manifest.plan
    assert not plan.steps[0].lossless
    assert "trimmed with a loss: the trimmed small differs" in plan.notes[0]


def test_a_model_that_collapsed_elsewhere_is_trimmed_without_training() -> None:
    artifact = small()
    state = STRONG.start(artifact, HALF, None)
    model = rehearsed(artifact.module, STRONG.constraint(state))
    made = prune(own(model), HALF, STRONG, words="")
    assert made.manifest.plan.steps[0].lossless


def test_weights_that_are_no_numbers_are_refused() -> None:
    artifact = small()
    with torch.no_grad():
        artifact.module.inner.weight[3] = math.nan
    with pytest.raises(UsageError, match="not finite"):
        STRONG.start(artifact, HALF, None)
    artifact = small()
    state = STRONG.start(artifact, HALF, None)
    with torch.no_grad():
        artifact.module.fc.weight[0] = math.nan
    with pytest.raises(ParityError, match="hold NaN"):
        STRONG.finish(artifact.module, state)


def test_what_is_not_trained_is_named() -> None:
    artifact = small()
    artifact.module.inner_norm.requires_grad_(False)
    artifact.module.inner_norm.weight.data.uniform_(0.5, 1)
    with pytest.raises(UsageError, match=r"inner_norm.weight is not trained") as told:
        STRONG.start(artifact, HALF, None)
    assert "--keep inner;" in told.value.hint


def test_norms_over_channels_are_refused_before_any_training() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    arch = Architecture(name="normed", constructor=lambda: model, input=InputSpec(shapes=((3, 8, 8),)))
    artifact = dataclasses.replace(Artifact.of(model, arch), own=arch)
    request = dataclasses.replace(HALF, allow_inexact=True)
    with pytest.raises(UsageError, match=r"0 cannot be trimmed without loss.*: group norm over channels"):
        STRONG.start(artifact, request, None)
    made = prune(artifact, request, dataclasses.replace(STRONG, loss=1e9), words="", training=rehearsed)
    assert made.manifest.oracle is not None
    assert "group norm over channels" in str(made.manifest.oracle.refused)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": "kmean"}, "unknown kind of clusters 'kmean'"),
        ({"strength": -1.0}, "option strength of csgd is -1.0"),
        ({"strength": "much"}, "option strength of csgd is 'much'"),
        ({"loss": math.inf}, "option loss of csgd is"),
        ({"cluster": "even"}, "unknown option of csgd 'cluster'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        method_of("csgd", options, 0)


def test_options_arrive() -> None:
    assert "csgd" in METHODS
    assert method_of("csgd", {"strength": 1, "clusters": "even"}, 7) == Csgd("even", 1.0, seed=7)


def test_the_force_is_the_same_however_a_batch_is_cut() -> None:
    artifact = small()
    state = STRONG.start(artifact, HALF, None)
    found = []
    for accumulate in (1, 4):
        model = copy.deepcopy(artifact.module)
        for norm in (model.norm, model.inner_norm):  # a norm sees one micro-batch at a time
            norm.momentum = 0.0
            norm.train = lambda mode=True, norm=norm: norm  # type: ignore[method-assign]
            norm.training = False
        recipe = dataclasses.replace(RECIPE, epochs=1, accumulate=accumulate)
        fine_tune(model, open_data("synthetic:64x3x16x16", ARCH.input).unvalidated(), recipe,
                  constraint=STRONG.constraint(state))  # fmt: skip
        found.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_an_identity_knows_force_and_clusters() -> None:
    model = Net()
    graph = trace(model, [torch.randn(1, 3, 6, 6)])
    index = graph.by_producer["a.conv"]

    def identity(found: Grouped, strength: float) -> object:
        force = Force(strength=strength, vectors=0.1, bias_lr=2.0)
        return Centripetal(ties_of(graph, {index: found}), force).identity()

    one: Grouped = ((0, 1, 2), (3, 4, 5))
    other: Grouped = ((0, 1), (2, 3, 4, 5))
    assert identity(one, 0.1) == identity(one, 0.1)
    assert identity(one, 0.1) != identity(one, 0.2)
    assert identity(one, 0.1) != identity(other, 0.1)
