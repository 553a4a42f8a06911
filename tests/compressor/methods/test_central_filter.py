"""Central Filter: the authors' vectors, what must always hold, and merging that is exact for equal maps."""

import json
import math
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from compressor.base.errors import CompressError, UsageError
from compressor.base.modules import named_tensors
from compressor.channels import ChannelGraph, trace
from compressor.channels.components import smallest_members
from compressor.channels.graph import SELF_EDITING
from compressor.criteria.view import positions_of
from compressor.methods import known_methods, method_of
from compressor.methods.central_filter import CentralFilter, choose, similarity, threshold
from compressor.methods.central_filter.graph import closeness, delegated, joined
from compressor.methods.ranking import group_views, make_plan
from compressor.rates import Budget, PruneRequest, Share
from compressor.steps.channels import DROPPED
from compressor.steps.choice import Choice
from compressor.steps.plan import cut
from compressor.steps.shrink import outputs_of, perturb_norms, relative_difference, shrink
from compressor.zoo import Architecture, find
from compressor.zoo.inputs import InputSpec
from tests import zygote

Vectors = dict[str, NDArray[np.generic]]
THRESHOLD_TOLERANCE, WEIGHT_TOLERANCE, SIMILARITY_TOLERANCE = 1e-9, 1e-5, 1e-6
CASES = [
    ("rand8", "0.25"), ("rand8", "0.5"), ("rand8", "0.75"), ("rand12", "0.25"), ("rand12", "0.5"),
    ("rand12", "0.75"), ("dead10", "0.1"), ("dead10", "0.3"), ("dead10", "0.6"), ("vgg_16_bn_dis0", "0.3"),
    ("vgg_16_bn_dis7", "0.4"), ("vgg_16_bn_dis7", "0.85"), ("resnet_56_dis1", "0.2"),
    ("resnet_56_dis1", "0.6"), ("resnet_56_dis45", "0.8"), ("densenet_40_dis1", "0.3"),
    ("densenet_40_dis1", "0.5"), ("densenet_40_dis13", "0.1"), ("resnet_50_dis1", "0.1"),
    ("resnet_50_dis1", "0.5"), ("googlenet_dis1", "0.9"), ("googlenet_dis2", "0.7"),
]  # fmt: skip


@pytest.fixture(scope="module")
def vectors(shared: Path) -> Vectors:
    with np.load(shared / "golden" / "vectors" / "central_filter.npz") as file:
        return dict(file)


def as_the_authors(matrix: NDArray[np.float64], remove: int, deleted: NDArray[np.int64]) -> Choice:
    """Choose with ties as the released program's unstable sort broke them; ours are the other way round."""
    edges = joined(matrix, threshold(matrix, remove))
    lost = np.isin(np.arange(len(matrix)), deleted)
    order = np.lexsort((-np.arange(len(matrix)), lost, -closeness(matrix, edges)))
    return delegated(edges, order, remove, "faithful")


def merged(weight: NDArray[np.float32], choice: Choice) -> NDArray[np.float32]:
    """Return what the survivors' columns become, by hand."""
    assert choice.into is not None
    new = np.zeros_like(weight)
    for old, target in enumerate(choice.into):
        if target != DROPPED:
            new[:, target] += weight[:, old]
    return new[:, choice.keep]


def test_every_case_of_the_vectors_is_tested(vectors: Vectors) -> None:
    found = {tuple(name.split("__r")) for name in vectors if name.endswith("__threshold")}
    assert found == {(name, f"{rate}__threshold") for name, rate in CASES}


@pytest.mark.parametrize(("name", "rate"), CASES)
def test_choices_are_the_released_programs(vectors: Vectors, name: str, rate: str) -> None:
    matrix, case = vectors[f"{name}__D"], f"{name}__r{rate}__"
    remove = math.ceil(len(matrix) * float(rate))
    assert threshold(matrix, remove) == pytest.approx(vectors[f"{case}threshold"], abs=THRESHOLD_TOLERANCE)
    assert threshold(matrix, float(rate)) == threshold(matrix, remove)
    kept, pairs = vectors[f"{case}kept"], vectors[f"{case}center_deleted_pairs"]
    theirs = as_the_authors(matrix, remove, pairs[:, 1])
    assert np.array_equal(theirs.keep, kept)
    assert np.array_equal(theirs.pairs, pairs)
    if f"{case}next_weight_in" in vectors:
        new = merged(vectors[f"{case}next_weight_in"], theirs)
        assert np.abs(new - vectors[f"{case}next_weight_out"][:, kept]).max() < WEIGHT_TOLERANCE
    # Ours differ by ties only: as many nodes survive in every component, with the same closeness.
    ours = choose(matrix, remove)
    edges = joined(matrix, threshold(matrix, remove))
    component = smallest_members(len(matrix), *np.nonzero(edges))
    survivors = [
        sorted(zip(component[keep], closeness(matrix, edges)[keep], strict=True))
        for keep in (ours.keep, kept)
    ]
    assert survivors[0] == survivors[1]


def test_delegates_for_a_set_that_is_kept_anyway(vectors: Vectors) -> None:
    matrix, kept = vectors["delegate_from_rank__D"], vectors["delegate_from_rank__kept_in"]
    remove, wanted = len(matrix) - len(kept), vectors["delegate_from_rank__center_deleted_pairs"]
    pairs = as_the_authors(matrix, remove, wanted[:, 1]).pairs
    assert np.array_equal(pairs[~np.isin(pairs[:, 1], kept)], wanted)


class Joined(nn.Module):
    """Two convolutions whose outputs are concatenated, and one that reads them."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 5, 3, padding=1)
        self.read = nn.Conv2d(9, len(weight), 3)
        self.read.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        read: Tensor = self.read(torch.cat([self.left(x), self.right(x)], dim=1).relu())
        return read


@pytest.mark.parametrize("network", ["concat", "densenet"])
def test_weights_behind_a_concatenation_are_adjusted_per_segment(vectors: Vectors, network: str) -> None:
    model = Joined(torch.from_numpy(vectors["concat_adjust__next_weight_in"])).eval()
    graph = trace(model, [torch.randn(1, 3, 8, 8)])
    left = Choice(keep=np.array([0, 2]), into=np.array([0, 0, 2, 2]))
    right = Choice(keep=np.array([1, 3, 4]), into=np.array([1, 1, 1, 3, 4]))
    choices = {graph.by_producer["left"]: left, graph.by_producer["right"]: right}
    small = cut(graph, choices, ()).shrink(model)
    wanted = vectors[f"{network}_adjust__next_weight_out"][:, [0, 2, 5, 7, 8]]
    new = dict(small.named_parameters())["read.weight"].detach().numpy()
    assert np.abs(new - wanted).max() < WEIGHT_TOLERANCE


def test_similarities_are_the_released_programs(shared: Path) -> None:
    with np.load(shared / "golden" / "vectors" / "central_filter_distance.npz") as file:
        maps = torch.from_numpy(file["feature_maps_pre_relu"]).relu()
        assert np.abs(similarity(maps).numpy() - file["D"]).max() < SIMILARITY_TOLERANCE


def by_hand(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    images, channels = maps.shape[:2]
    flat = maps.reshape(images, channels, -1)
    found = np.eye(channels)
    for i, j in permutations(range(channels), 2):
        found[i, j] = np.mean([_pair(image[i], image[j]) for image in flat])
    return found


def _pair(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    constant = [len(set(z.tolist())) == 1 for z in (x, y)]
    if all(constant) or (x.sum() == 0 and y.sum() == 0):
        return 1
    if x.sum() == 0 or y.sum() == 0:
        return -1
    return 0 if any(constant) else float(np.corrcoef(x, y)[0, 1])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 7), st.integers(1, 3))
def test_similarities_of_all_kinds_of_maps(seed: int, images: int, channels: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.integers(-2, 3, (images, channels, side, side)).astype(np.float64)
    kind = rng.integers(0, 4, (images, channels))
    maps[kind == 0] = 0
    maps[kind == 1] = rng.integers(-1, 3)
    found = similarity(torch.from_numpy(maps)).numpy()
    assert np.abs(found - by_hand(maps)).max() < 1e-12
    assert np.array_equal(found, found.T)


def test_similarities_of_faint_and_of_many_maps() -> None:
    maps = torch.rand(3, 5, 40, 40, dtype=torch.float64)
    whole = similarity(maps)
    assert torch.allclose(whole, similarity(maps * 1e-200), atol=1e-12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("compressor.methods.central_filter.correlation._CHUNK_ELEMENTS", 1)
        assert torch.allclose(whole, similarity(maps), atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 4, 2, 2), (4,), (2, 0, 3, 3)])
def test_no_maps_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="no similarity"):
        similarity(torch.zeros(shape))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_maps_that_are_not_finite_are_refused(value: float) -> None:
    maps = torch.rand(2, 3, 4, 4)
    maps[1, 2, 3, 3] = value
    with pytest.raises(UsageError, match="NaN"):
        similarity(maps)


@st.composite
def problems(draw: st.DrawFn) -> tuple[NDArray[np.float64], int]:
    """Return a matrix, of few values where ties shall be frequent, and how many to remove."""
    size = draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.uniform(-1, 1, (size, size))
    levels = draw(st.sampled_from([0, 1, 3, 8]))
    matrix = np.round(values * levels) / levels if levels else values
    matrix = np.triu(matrix, 1) + np.triu(matrix, 1).T + np.eye(size)
    return matrix, draw(st.integers(0, size - 1))


@settings(max_examples=200, deadline=None)
@given(problems(), st.sampled_from(["faithful", "root"]))
def test_as_many_survive_as_asked(problem: tuple[NDArray[np.float64], int], mode: str) -> None:
    matrix, remove = problem
    choice = choose(matrix, remove, mode)  # type: ignore[arg-type]
    assert len(choice.keep) == len(matrix) - remove
    assert sorted([*choice.keep, *choice.pairs[:, 1]]) == list(range(len(matrix)))
    assert (np.diff(choice.pairs[:, 0]) >= 0).all()


@settings(max_examples=200, deadline=None)
@given(problems())
def test_root_keeps_one_of_each_component_and_loses_no_consumer(
    problem: tuple[NDArray[np.float64], int],
) -> None:
    matrix, remove = problem
    choice = choose(matrix, remove, "root")
    assert choice.into is not None
    component = smallest_members(len(matrix), *np.nonzero(joined(matrix, threshold(matrix, remove))))
    assert set(component[choice.keep]) == set(component)
    if len(set(component)) == len(choice.keep):
        assert len(set(component[choice.keep])) == len(choice.keep)
    assert (component[choice.into] == component).all() or remove == 0
    assert np.isin(choice.into, choice.keep).all()
    weight = np.random.default_rng(0).integers(-9, 9, (3, len(matrix))).astype(np.float32)
    assert (merged(weight, choice).sum(axis=1) == weight.sum(axis=1)).all()
    assert np.array_equal(choice.pairs, choice.pairs[np.lexsort(choice.pairs.T[::-1])])


@settings(max_examples=100, deadline=None)
@given(problems())
def test_faithful_adds_weights_in_the_order_of_the_centres(problem: tuple[NDArray[np.float64], int]) -> None:
    matrix, remove = problem
    choice = choose(matrix, remove)
    weight = np.random.default_rng(0).integers(-9, 9, (3, len(matrix))).astype(np.float32)
    theirs = weight.copy()
    for centre, deleted in choice.pairs:  # ascending centres, in place, as released
        theirs[:, centre] += theirs[:, deleted]
    assert np.array_equal(merged(weight, choice), theirs[:, choice.keep])


def test_circles_end_at_the_central_filter() -> None:
    """1 deletes 2, and 2, deleted already, deletes 1: neither leads to 0, which is their central filter."""
    edges = np.zeros((5, 5), dtype=bool)
    for a, b in [(0, 3), (3, 4), (4, 1), (4, 2), (1, 2)]:
        edges[a, b] = edges[b, a] = True
    choice = delegated(edges, np.array([0, 1, 2, 4, 3]), 4, "root")
    assert choice.into is not None
    assert choice.keep.tolist() == [0]
    assert choice.into.tolist() == [0] * 5


@pytest.mark.parametrize(
    "matrix",
    [
        np.ones((2, 3)),
        np.full((3, 3), np.nan),
        2 * np.ones((3, 3)),
        np.triu(np.ones((3, 3))),
        np.ones((0, 0)),
    ],
)
def test_what_is_no_similarity_is_refused(matrix: NDArray[np.float64]) -> None:
    with pytest.raises(UsageError):
        choose(matrix, 1)


@pytest.mark.parametrize("remove", [-1, 4, 1.0, -0.1])
def test_removing_nothing_sensible_is_refused(remove: float) -> None:
    with pytest.raises(UsageError, match="cannot be removed"):
        threshold(np.eye(4), remove)


class Plain(nn.Module):
    """Convolutions, one of them grouped and one depthwise, and a linear layer behind a flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.depthwise, self.grouped = nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 12, 1, groups=2)
        self.two = nn.Conv2d(12, 6, 3)
        self.fc = nn.Linear(6 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.grouped(self.depthwise(self.norm(self.one(x)).relu())).relu()
        logits: Tensor = self.fc(self.two(x).relu().flatten(1))
        return logits


def plain() -> Architecture:
    return Architecture(name="plain", constructor=Plain, input=InputSpec(shapes=((3, 8, 8),)))


def twinned(model: nn.Module, graph: ChannelGraph) -> None:
    """Make every second unit of each free group what the one before it is, in all layers that make it."""
    tensors = named_tensors(model)
    for entry in graph.axes:
        for index in set(entry.groups) & set(graph.free):
            if entry.role == "consumer" or SELF_EDITING in entry.tensor:
                continue
            found = positions_of(entry, index, graph.groups[index].size)
            rows = torch.arange(entry.size)[:, None] if found is None else found
            slices = tensors[entry.tensor].data.movedim(entry.axis, 0)
            slices[rows[1::2].flatten()] = slices[rows[::2].flatten()]


def images(side: int, batches: int = 2) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(batches):
        yield torch.randn(4, 3, side, side, generator=generator), torch.arange(4)


@pytest.mark.parametrize("mode", ["faithful", "root"])
@pytest.mark.parametrize("name", ["plain", "resnet20_cifar", "densenet40_cifar"])
def test_merging_equal_channels_changes_nothing(name: str, mode: str) -> None:
    torch.manual_seed(0)
    arch = plain() if name == "plain" else find(name)
    model = perturb_norms(arch.build()).eval()
    graph = trace(model, arch.example())
    twinned(model, graph)
    side = arch.input.shapes[0][-1]
    criterion = CentralFilter(mode=mode)  # type: ignore[arg-type]
    planned = make_plan(model, arch, PruneRequest(target=Share(0.5)), criterion, images(side))
    assert all(d.kept * 2 == d.size for d in planned.plan.decisions if d.kept < d.size)
    small = shrink(model, planned.plan).double()
    inputs = [x.double() for x in arch.example(batch=3)]
    assert relative_difference(outputs_of(model.double(), inputs), outputs_of(small, inputs)) < 1e-6
    proof = planned.oracle.max_relative_difference
    assert proof is not None
    assert proof < planned.oracle.limit


def test_what_units_are_read_as_is_the_mean_over_all_who_read_them() -> None:
    torch.manual_seed(0)
    arch = find("resnet20_cifar")
    model = perturb_norms(arch.build()).eval()
    graph = trace(model, arch.example())
    seen: list[Tensor] = []
    index = graph.by_producer["layer1.0.conv2"]
    readers = ["layer1.1.conv1", "layer1.2.conv1", "layer2.0.conv1", "layer2.0.shortcut"]
    hooks = [
        model.get_submodule(reader).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        for reader in readers
    ]
    views = group_views(model, graph, CentralFilter(), images(32, batches=1))
    for hook in hooks:
        hook.remove()
    wanted = torch.stack([similarity(maps) for maps in seen]).mean(dim=0)
    assert len(seen) == len(readers)
    assert views[index].pairs is not None
    assert torch.allclose(views[index].pairs, wanted, atol=1e-12)


def test_one_number_per_unit_is_compared_over_images() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)).eval()
    graph = trace(model, [torch.randn(1, 3, 2, 2)])
    (x, _), *_ = batches = list(images(2, batches=1))
    pairs = group_views(model, graph, CentralFilter(), batches)[graph.by_producer["1"]].pairs
    assert pairs is not None
    assert torch.allclose(pairs, similarity(model[:3](x).T[None]), atol=1e-6)


def test_one_number_of_one_image_says_nothing() -> None:
    arch = Architecture(
        name="linear",
        constructor=lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)),
        input=InputSpec(shapes=((3, 2, 2),)),
    )
    single = [(x[:1], y[:1]) for x, y in images(2)]
    with pytest.raises(UsageError, match="no feature maps"):
        make_plan(arch.build(), arch, PruneRequest(target=Share(0.5)), CentralFilter(), single)


def test_a_global_ranking_is_one_threshold_for_all_groups() -> None:
    torch.manual_seed(0)
    arch = find("resnet20_cifar")
    model = perturb_norms(arch.build()).eval()
    criterion, graph = CentralFilter(), trace(model, arch.example())
    pairs = {i: view.pairs for i, view in group_views(model, graph, criterion, images(32)).items()}
    request = PruneRequest(target=Budget("macs", fraction=0.7), scope="global", max_rate=1.0)
    decisions = make_plan(model, arch, request, criterion, images(32)).plan.decisions
    removed = {i: decisions[i].size - decisions[i].kept for i in graph.free}
    assert len(set(removed.values())) > 1
    found = {i: threshold(pairs[i], count) for i, count in removed.items() if count}  # type: ignore[arg-type]
    last = min(found.values())
    for i, count in removed.items():
        less = threshold(pairs[i], count + 1) if count + 1 < decisions[i].size else -1.0  # type: ignore[arg-type]
        assert less <= last + 2e-2


@pytest.mark.parametrize(
    ("options", "words"), [({"mode": "centre"}, "mode"), ({"modes": "root"}, "modes"), ({"mode": 1}, "mode")]
)
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        method_of("central_filter", options, seed=0)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="faithful or root"):
        choose(np.eye(3), 1, "roots")  # type: ignore[arg-type]


def planned(model: nn.Module, batches: object) -> None:
    criterion = CentralFilter()
    make_plan(model, plain(), PruneRequest(target=Share(0.5)), criterion, batches)  # type: ignore[arg-type]


@pytest.mark.parametrize(("batches", "words"), [(None, "no data"), ([], "no feature maps")])
def test_no_images_are_refused(batches: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        planned(Plain().eval(), batches)


def test_weights_that_are_not_finite_are_refused_by_the_layer_that_sees_it() -> None:
    model = Plain().eval()
    model.one.weight.data[0, 0, 0, 0] = math.nan
    with pytest.raises(CompressError, match=r"NaN or infinity: the input of (depthwise|grouped)"):
        planned(model, images(8))


def test_layers_that_say_nothing_are_pruned_all_the_same() -> None:
    model = Plain().eval()
    model.two.weight.data.zero_()
    planned(model, images(8))


def test_the_model_is_left_as_it_is() -> None:
    model = Plain().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    planned(model, images(8))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())


def compress(*words: str, cwd: Path) -> tuple[int, str, str]:
    done = zygote.run(["prune", "resnet20_cifar", "--method", "central_filter", *words], cwd)
    return done.returncode, done.stdout, done.stderr


def test_the_command(tmp_path: Path) -> None:
    assert "central_filter" in known_methods()
    words = ["--option", "mode=root", "--data", "digits", "--rate", "0.4", "-o", "small", "--json"]
    code, out, err = compress(*words, cwd=tmp_path)
    assert code == 0, err
    assert json.loads(out)["method"] == "central_filter"
    assert json.loads((tmp_path / "small" / "manifest.json").read_text())["plan"]["steps"][0]["intos"]


def test_the_command_without_data(tmp_path: Path) -> None:
    code, _, err = compress("--rate", "0.4", "-o", "small", cwd=tmp_path)
    assert code == 2
    assert "--data digits" in err
    assert not (tmp_path / "small").exists()
