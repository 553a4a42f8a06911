from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compressor.base.errors import UsageError
from compressor.base.modules import named_tensors
from compressor.channels import trace
from compressor.criteria import CRITERIA
from compressor.criteria.coring import Coring, factors, pairwise, saliency
from compressor.criteria.coring.similarity import DECOMPOSERS, METRICS, STRATEGIES
from compressor.criteria.coring.similarity.tucker import left_singular
from compressor.criteria.view import GroupView, Member, Statistics, group_view

Floats = NDArray[np.float64]
Vectors = dict[str, NDArray[np.generic]]
ReadVectors = Callable[[str], Vectors]

MATRICES = {"coring_c16x8x3x3": 15, "coring_c32x16x1x1": 12}
METRIC_OF_AUTHORS = {
    "VBD_dis": "vbd",
    "Euclide_dis": "euclidean",
    "cosine_sim": "cosine",
    "Manhattan_dis": "manhattan",
    "SNR_dis": "snr",
    "Pearson_sim": "pearson",
}
# From the manifest of the vectors.
FACTOR_TOLERANCE, MATRIX_TOLERANCE, SUM_TOLERANCE = 1e-5, 2e-6, 1e-5


def stored_factors(vectors: Vectors, decomposer: str) -> list[Tensor]:
    names = sorted(name for name in vectors if name.startswith(f"{decomposer}__factor"))
    return [torch.from_numpy(vectors[name]) for name in names]


def naive_elimination(matrix: Floats, *, similar: bool, by_sum: bool) -> Floats:
    """The published algorithm, literally: cubic, with INF cells."""
    m, n = matrix.copy(), len(matrix)
    inf = -np.inf if similar else np.inf
    nearest = np.argmax if similar else np.argmin
    closest = np.max if similar else np.min
    scores = np.full(n, n - 1.0)
    np.fill_diagonal(m, inf)
    for step in range(n - 1):
        i, j = (int(v) for v in np.unravel_index(nearest(m), m.shape))
        m[i, j] = m[j, i] = inf
        row, column = m[i], m[:, j]
        if by_sum:
            right, left = row[row != inf].sum(), column[column != inf].sum()
        else:
            right, left = closest(row), closest(column)
        lose_j = right < left if similar else right > left
        loser = j if lose_j else i
        m[loser] = m[:, loser] = inf
        scores[loser] = step
    return scores


def numpy_unfold(x: Floats, mode: int) -> Floats:
    return np.moveaxis(x, mode, 0).reshape(x.shape[mode], -1)


def numpy_hooi(x: Floats, rank: int) -> list[Floats]:
    """HOOI of one tensor as in the literature, with the defaults of the usual library."""
    found = [np.linalg.svd(numpy_unfold(x, m), full_matrices=False)[0][:, :rank] for m in range(x.ndim)]
    errors: list[float] = []
    for sweep in range(100):
        for mode in range(x.ndim):
            y = x
            for other in set(range(x.ndim)) - {mode}:
                y = np.moveaxis(np.tensordot(found[other].T, y, axes=(1, other)), 0, other)
            found[mode] = np.linalg.svd(numpy_unfold(y, mode), full_matrices=False)[0][:, :rank]
        core = x
        for mode in range(x.ndim):
            core = np.moveaxis(np.tensordot(found[mode].T, core, axes=(1, mode)), 0, mode)
        errors.append(float(np.sqrt(abs((x**2).sum() - (core**2).sum())) / np.linalg.norm(x)))
        if sweep > 1 and abs(errors[-2] - errors[-1]) < 1e-4:
            break
    return found


def random_weight(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def group_of(*weights: Tensor) -> GroupView:
    members = tuple(
        Member(tensor=f"conv{n}.weight", role="producer", values=w) for n, w in enumerate(weights)
    )
    return GroupView(name="conv0", size=len(weights[0]), members=members)


@pytest.fixture(scope="module")
def golden(shared: Path) -> ReadVectors:
    """Return a reader of what the authors' program produced."""
    return lambda name: dict(np.load(shared / "golden" / "vectors" / f"{name}.npz"))


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


# ---------------------------------------------------------------------------------- the authors' vectors


@pytest.mark.parametrize("file", MATRICES)
def test_matrices_of_stored_factors_match(golden: ReadVectors, file: str) -> None:
    vectors = golden(file)
    names = [name for name in vectors if name.endswith("__matrix")]
    assert len(names) == MATRICES[file]
    for name in names:
        decomposer, metric, _ = name.split("__")
        matrix = pairwise(stored_factors(vectors, decomposer), METRIC_OF_AUTHORS[metric])
        np.testing.assert_allclose(matrix, vectors[name], rtol=0, atol=MATRIX_TOLERANCE, err_msg=name)


@pytest.mark.parametrize("file", MATRICES)
def test_saliencies_of_stored_factors_match(golden: ReadVectors, file: str) -> None:
    vectors = golden(file)
    names = [name for name in vectors if name.endswith("__saliency")]
    assert len(names) == MATRICES[file] * len(STRATEGIES)
    for name in names:
        decomposer, authors_metric, strategy, _ = name.split("__")
        metric = METRIC_OF_AUTHORS[authors_metric]
        stored = torch.from_numpy(vectors[f"{decomposer}__{authors_metric}__matrix"])
        tolerance = SUM_TOLERANCE if strategy == "sum" else 0
        for matrix in (stored, pairwise(stored_factors(vectors, decomposer), metric)):
            scores = saliency(matrix, metric, strategy)
            np.testing.assert_allclose(scores, vectors[name], rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("compat", [True, False])
@pytest.mark.parametrize("stored_as", ["hosvd", "svd_mode0", "svd_mode1", "tucker"])
@pytest.mark.parametrize("file", MATRICES)
def test_factors_match_up_to_sign(golden: ReadVectors, file: str, stored_as: str, compat: bool) -> None:
    vectors = golden(file)
    weight = torch.from_numpy(vectors["weight"])
    if stored_as == "svd_mode1":
        weight = weight.transpose(1, 2)
    expected = stored_factors(vectors, stored_as)
    if not compat:
        expected = [f for f in expected if f.shape[1] > 1]
    found = factors(weight, stored_as.partition("_")[0], compat=compat)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        sign = (ours * theirs).sum(dim=1, keepdim=True).sign()
        np.testing.assert_allclose(ours * sign, theirs, rtol=0, atol=FACTOR_TOLERANCE)


def test_compat_keeps_depthwise_filters_by_index_as_published(golden: ReadVectors) -> None:
    vectors = golden("coring_depthwise")
    scores = Coring(compat=True)(group_of(torch.from_numpy(vectors["weight"])))
    np.testing.assert_array_equal(scores, vectors["hosvd__VBD_dis__min_sum__saliency"])


def test_rank_two_matches_with_the_signs_of_the_authors_lapack(golden: ReadVectors) -> None:
    """Between factors of two columns even the cosine depends on signs, and none of them are stored."""
    known = golden("coring_c16x8x3x3")
    ours = factors(torch.from_numpy(known["weight"]), compat=True)
    if any((a * b).sum(dim=1).min() < 0 for a, b in zip(ours, stored_factors(known, "hosvd"), strict=True)):
        pytest.skip("LAPACK here gives singular vectors other signs than the authors' did")
    vectors = golden("coring_rank2")
    found = factors(torch.from_numpy(vectors["weight"]), rank=2, compat=True)
    for metric, name in (("vbd", "VBD_dis"), ("cosine", "cosine_sim")):
        scores = saliency(pairwise(found, metric), metric)
        np.testing.assert_array_equal(scores, vectors[f"hosvd_rank2__{name}__min_sum__saliency"])


# ------------------------------------------------------------------------------------------- the criterion


def test_is_registered() -> None:
    assert CRITERIA.get("coring") is Coring


@pytest.mark.parametrize(
    "coring",
    [Coring(decomposer=d) for d in DECOMPOSERS]
    + [Coring(metric=m, strategy=s) for m in METRICS for s in STRATEGIES],
    ids=str,
)
def test_permuting_filters_permutes_scores(coring: Coring) -> None:
    weight = random_weight(12, 5, 3, 3)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    scores, permuted = coring(group_of(weight)), coring(group_of(weight[order]))
    if coring.strategy != "sum":
        # Nothing is left to compare the last two with: the published algorithm drops the lower index.
        scores, permuted = scores.clamp_max(10), permuted.clamp_max(10)
    torch.testing.assert_close(permuted, scores[order], rtol=0, atol=1e-9)


@pytest.mark.parametrize("coring", [Coring(decomposer=d, rank=2) for d in DECOMPOSERS], ids=str)
@pytest.mark.parametrize("shape", [(48, 24, 3, 3), (64, 32, 1, 1)])
def test_same_scores_with_any_number_of_threads(
    threads: Callable[[int], None], coring: Coring, shape: tuple[int, ...]
) -> None:
    group = group_of(random_weight(*shape))
    scores = []
    for count in (1, 2, 3, 1):
        threads(count)
        scores.append(coring(group))
        assert torch.get_num_threads() == count
    assert all(torch.equal(s, scores[0]) for s in scores)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("decomposer", DECOMPOSERS)
@pytest.mark.parametrize("shape", [(8, 6, 1, 1), (8, 1, 3, 3), (8, 6), (8, 6, 3), (8, 6, 3, 3), (1, 4, 3, 3)])
@pytest.mark.parametrize("rank", [1, 3])
def test_scores_are_finite(metric: str, decomposer: str, shape: tuple[int, ...], rank: int) -> None:
    scores = Coring(decomposer, metric, rank=rank)(group_of(random_weight(*shape)))
    assert scores.shape == (shape[0],)
    assert torch.isfinite(scores).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_scores_of_constant_filters_are_finite(metric: str, value: float) -> None:
    assert torch.isfinite(Coring(metric=metric)(group_of(torch.full((6, 4, 3, 3), value)))).all()


def test_layers_that_share_units_are_averaged() -> None:
    first, second = random_weight(9, 4, 3, 3, seed=1), random_weight(9, 7, 1, 1, seed=2)
    coring = Coring()
    expected = (coring(group_of(first)) + coring(group_of(second))) / 2
    torch.testing.assert_close(coring(group_of(first, second)), expected)


def test_layer_with_nothing_to_compare_has_no_say() -> None:
    weight, points = random_weight(9, 4, 3, 3), random_weight(9, 1, 1, 1)
    assert torch.equal(Coring()(group_of(weight, points)), Coring()(group_of(weight)))
    assert torch.equal(Coring()(group_of(points)), torch.ones(9))


def test_scale_of_filters_does_not_matter() -> None:
    weight = random_weight(10, 4, 3, 3)
    strengths = torch.linspace(0.1, 10, 10)[:, None, None, None]
    assert torch.equal(Coring()(group_of(weight * strengths)), Coring()(group_of(weight)))


def test_one_of_two_equal_filters_goes_first() -> None:
    weight = random_weight(10, 4, 3, 3)
    weight[7] = -3 * weight[2]
    assert int(Coring()(group_of(weight)).argmin()) in (2, 7)


def test_several_filters_of_a_unit_are_compared_as_one() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3)
            self.grouped = nn.Conv2d(8, 12, 3, groups=2)
            self.last = nn.Conv2d(12, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.last(self.grouped(self.first(x)))
            return result

    torch.manual_seed(0)
    net = Net().eval()
    graph = trace(net, (torch.randn(1, 3, 8, 8),))
    index = graph.by_producer["grouped"]
    view = group_view(named_tensors(net), graph, index, Statistics())
    blocks = net.grouped.weight.detach().reshape(2, 6, 4, 3, 3)
    stacked = torch.cat([blocks[0], blocks[1]], dim=1)
    assert view.size == 6
    assert torch.equal(Coring()(view), Coring()(group_of(stacked)))


# ------------------------------------------------------------------------------------------------ the parts


def test_signs_are_fixed_by_the_largest_entry() -> None:
    for decomposer in DECOMPOSERS:
        for factor in factors(random_weight(6, 5, 3, 3), decomposer, rank=2):
            largest = factor.gather(1, factor.abs().argmax(dim=1, keepdim=True))
            assert (largest > 0).all()


@pytest.mark.parametrize("spectrum", ["flat", "steep", "deficient", "zero"])
@pytest.mark.parametrize("shape", [(40, 9), (9, 40), (12, 12), (30, 1)])
def test_singular_vectors_are_those_of_the_whole_decomposition(spectrum: str, shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(5, *shape, generator=generator, dtype=torch.float64)
    size = min(shape)
    u, s, v = torch.linalg.svd(matrices, full_matrices=False)
    shares = {"flat": s, "steep": s * 10.0 ** -torch.arange(size), "deficient": s * (torch.arange(size) < 1)}
    values = shares.get(spectrum, torch.zeros_like(s))
    found = left_singular(u * values[:, None] @ v, 3)
    columns = min(3, size)
    assert found.shape == (5, shape[0], columns)
    torch.testing.assert_close(found.mT @ found, torch.eye(columns).double().expand(5, -1, -1))
    known = {"flat": columns, "steep": columns, "deficient": 1}.get(spectrum, 0)
    agreement = (found * u[:, :, :columns]).sum(dim=1)[:, :known].abs()
    torch.testing.assert_close(agreement, torch.ones_like(agreement), rtol=0, atol=1e-9)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("shape", [(5, 6, 3, 3), (4, 8, 1, 1), (4, 5, 4)])
def test_tucker_matches_hooi_filter_by_filter(shape: tuple[int, ...], rank: int) -> None:
    weight = random_weight(*shape).double()
    ours = factors(weight, "tucker", rank)
    for number, x in enumerate(weight.numpy()):
        theirs = [f for f in numpy_hooi(x, rank) if f.shape[0] > 1]
        for mine, other in zip(ours, theirs, strict=True):
            size = mine.shape[2]
            projections = mine[number].T.numpy() @ other[:, :size]
            np.testing.assert_allclose(np.abs(projections), np.eye(size), rtol=0, atol=1e-7)


@pytest.mark.parametrize("metric", ["vbd", "cosine"])
@pytest.mark.parametrize("strategy", ["min_sum", "min_min"])
@pytest.mark.parametrize("kind", ["symmetric", "asymmetric", "ties", "asymmetric ties", "hub", "equal"])
@pytest.mark.parametrize("size", [1, 2, 3, 17, 40])
def test_elimination_is_the_published_one(metric: str, strategy: str, kind: str, size: int) -> None:
    for seed in range(5):
        matrix = _matrix(kind, size, np.random.default_rng(seed))
        expected = naive_elimination(matrix, similar=metric == "cosine", by_sum=strategy == "min_sum")
        np.testing.assert_array_equal(saliency(torch.from_numpy(matrix), metric, strategy), expected)


def _matrix(kind: str, size: int, rng: np.random.Generator) -> Floats:
    values = rng.random((size, size))
    if "ties" in kind:
        values = rng.integers(0, 4, (size, size)) / 4
    if kind == "hub":
        return np.broadcast_to(np.arange(size) / 8, (size, size)).copy()
    if kind == "equal":
        return np.ones((size, size))
    return values if "asymmetric" in kind else values + values.T


def test_values_derived_by_hand() -> None:
    """Three filters of one row: a = (1, 0), b = (0, 1), c = (1, 1) / sqrt 2."""
    factor = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])[:, :, None]
    factor[2] /= 2**0.5
    root = 2**0.5
    assert pairwise([factor], "cosine")[0].tolist() == pytest.approx([1, 0, 1 / root])
    assert pairwise([factor], "manhattan")[0].tolist() == pytest.approx([0, 2, 1])
    assert pairwise([factor], "euclidean")[0].tolist() == pytest.approx([0, root, (2 - root) ** 0.5])
    # var a = var b = 1/2, var (a - b) = 2; c is constant.
    assert pairwise([factor], "vbd")[0].tolist() == pytest.approx([0, 2, 1])
    assert pairwise([factor], "snr")[0].tolist() == pytest.approx([0, 4, 1])
    assert pairwise([factor], "pearson")[0].tolist() == pytest.approx([1, -1, 0])


def test_equal_factors_tie_exactly() -> None:
    factor = torch.nn.functional.normalize(random_weight(30, 64, 1), dim=1)
    factor[20] = factor[3]
    for metric in METRICS:
        matrix = pairwise([factor], metric)
        assert torch.equal(matrix[20], matrix[3])
        assert matrix[3, 20] == (0 if METRICS[metric].sign > 0 else 1)


# ---------------------------------------------------------------------------------------------- user errors


def test_unknown_names_suggest_close_ones() -> None:
    for options, hint in (
        ({"decomposer": "hosdv"}, "hosvd"),
        ({"metric": "cosin"}, "cosine"),
        ({"strategy": "min_sun"}, "min_sum"),
    ):
        with pytest.raises(UsageError) as error:
            Coring(**options)  # type: ignore[arg-type]
        assert hint in error.value.hint


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(UsageError, match="NaN or infinity"):
        factors(torch.full((4, 3, 3, 3), torch.nan))
    with pytest.raises(UsageError, match="rank"):
        factors(torch.ones(4, 3, 3, 3), rank=0)
    with pytest.raises(UsageError, match="no filters"):
        factors(torch.ones(4))
    with pytest.raises(UsageError, match="length 1"):
        pairwise(factors(torch.ones(4, 1, 1, 1)))
    with pytest.raises(UsageError, match="infinite"):
        saliency(torch.full((3, 3), torch.inf))
    with pytest.raises(UsageError, match="shape"):
        saliency(torch.ones(3, 4))
