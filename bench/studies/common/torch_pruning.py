"""What Torch-Pruning, the peer that studies compare with, leaves of a network."""

import copy
import warnings
from typing import Any

from torch import nn

from compressor.artifact import Artifact


def pruned_by_torch_pruning(
    whole: Artifact, ratio: float, *, everywhere: bool, multiple: int, names: tuple[str, ...] = ()
) -> nn.Module:
    """Return a smaller network by the L1 norm of filters; linear layers keep their outputs.

    Args:
        whole: the network, which is left as it is.
        ratio: share of the channels that goes.
        everywhere: whether all channels are ranked together.
        multiple: of which widths are.
        names: of further layers whose outputs stay.
    """
    import torch_pruning as tp

    model = copy.deepcopy(whole.module)
    kept = [m for name, m in model.named_modules() if isinstance(m, nn.Linear) or name in names]
    options: dict[str, Any] = {"global_pruning": everywhere, "round_to": multiple, "ignored_layers": kept}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pruner = tp.pruner.MagnitudePruner(
            model, whole.example()[0], importance=tp.importance.MagnitudeImportance(p=1),
            pruning_ratio=ratio, max_pruning_ratio=0.9, **options,
        )  # fmt: skip
        pruner.step()
    pruned: nn.Module = model.eval()
    return pruned
