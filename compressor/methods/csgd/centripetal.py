"""The update of centripetal SGD (Ding et al., 2019).

For a filter F_j in cluster H, the gradient of the loss is replaced by

    mean over k in H of G_k  +  decay F_j  +  strength (F_j - mean over k in H of F_k),

in matrices, with one row per filter, G' = A G + B F: A averages within clusters, and
B = (decay + strength) I - strength A. All filters of a cluster get the same gradient, and what sets them
apart shrinks in every step by the factor 1 - lr (decay + strength): they become one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compressor.base.documents import Json, digest
from compressor.base.errors import UsageError
from compressor.methods.csgd.ties import Tie, collapse, deviations, distance
from compressor.training.constraints import ParameterGroup


def update_matrices(
    clusters: Sequence[Sequence[int]], weight_decay: float, strength: float
) -> tuple[Tensor, Tensor]:
    """Return A and B of G' = A G + B F, both (filters, filters), float32.

    Args:
        clusters: indices of filters; every filter is in one of them.
        weight_decay: added times the filter itself.
        strength: of the force to the cluster's mean.

    Raises:
        UsageError: a filter is in no cluster, or in two.
    """
    count = sum(map(len, clusters))
    if sorted(index for cluster in clusters for index in cluster) != list(range(count)):
        raise UsageError(
            f"the clusters do not hold each of {count} filters once",
            "list every index from 0 on in one cluster.",
        )
    average = torch.zeros(count, count, dtype=torch.float64)
    for cluster in clusters:
        rows = torch.tensor(cluster, dtype=torch.long)
        average[rows[:, None], rows] = 1 / max(len(cluster), 1)
    pull = (weight_decay + strength) * torch.eye(count, dtype=torch.float64) - strength * average
    return average.float(), pull.float()


@dataclass(frozen=True, slots=True, kw_only=True)
class Force:
    """How strongly filters are drawn together.

    Attributes:
        strength: of kernels; the epsilon of the paper.
        vectors: share of it for biases and for the weights of norms.
        bias_lr: what every bias learns faster by.
    """

    strength: float
    vectors: float
    bias_lr: float

    def on(self, tie: Tie) -> float:
        """Return the strength for one tensor."""
        return self.strength * (1.0 if tie.kind == "kernel" else self.vectors)


class Centripetal:
    """Draws the filters of each cluster together while they learn.

    Weight decay is left to the optimiser, whose decay F is the same as that in B: kernels decay as the recipe
    says, biases and the norms of clustered channels not at all. Biases learn ``bias_lr`` times faster, which
    for momentum SGD is the same as larger gradients.
    """

    def __init__(self, ties: Sequence[Tie], force: Force) -> None:
        self._ties = tuple(ties)
        self._force = force
        self._matrices: dict[tuple[int, torch.device], tuple[Tensor, Tensor]] = {}

    def parameters(self, model: nn.Module) -> list[ParameterGroup]:
        """Return kernels and whatever the method says nothing about, and what does not decay."""
        vectors = {tie.tensor for tie in self._ties if tie.kind == "vector"}
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        still = [p for name, p in named if name in vectors or _is_bias(name)]
        others = [p for name, p in named if name not in vectors and not _is_bias(name)]
        groups: list[ParameterGroup] = [{"params": others}, {"params": still, "weight_decay": 0.0}]
        return [group for group in groups if group["params"]]

    def before_step(self, model: nn.Module, lr: float) -> None:
        """Replace G by A G + B F, and let biases learn faster."""
        parameters = dict(model.named_parameters())
        for number, tie in enumerate(self._ties):
            parameter = parameters.get(tie.tensor)
            if parameter is not None and parameter.grad is not None:
                average, pull = self._of(number, parameter.device)
                rows = average @ tie.rows(parameter.grad) + pull @ tie.rows(parameter)
                tie.put(parameter.grad, rows)
        for name, parameter in parameters.items():
            if _is_bias(name) and parameter.grad is not None:
                parameter.grad.mul_(self._force.bias_lr)

    def after_step(self, model: nn.Module) -> None:
        """Leave the weights alone."""

    def fulfil(self, model: nn.Module) -> None:
        """Set every cluster to its mean."""
        collapse(model, self._ties)

    def identity(self) -> Json:
        """Return the force, and a digest of what it acts on."""
        tied = {f"{tie.tensor}:{tie.axis}": [list(c) for c in tie.clusters] for tie in self._ties}
        force = self._force
        return {
            "kind": "csgd", "strength": force.strength, "vectors": force.vectors, "bias_lr": force.bias_lr,
            "clusters": digest(tied),
        }  # fmt: skip

    def measure(self, model: nn.Module) -> dict[str, float]:
        """Return the sum of squared distances to the clusters' means, and their relative distance."""
        learned = dict(model.named_parameters())
        ties = [tie for tie in self._ties if tie.tensor in learned]
        apart = sum(apart for _, apart, _ in deviations(model, ties))
        return {"deviation": apart, "distance": distance(model, ties)}

    def _of(self, number: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return A and B of one tie. Scattered sums would be faster, but not the same on every worker."""
        key = number, device
        if key not in self._matrices:
            tie = self._ties[number]
            average, pull = update_matrices(tie.clusters, 0.0, self._force.on(tie))
            self._matrices[key] = average.to(device), pull.to(device)
        return self._matrices[key]


def _is_bias(name: str) -> bool:
    return name.rpartition(".")[2] == "bias"
