"""What a change of structure must not move: which units are kept, and every bit of the weights that remain.

``python -m bench.studies.unmoved.run --write`` notes, for pairs of a model and a request, the digest of the
decisions and the sha256 of the pruned weights; without ``--write`` it prunes again and names what differs
(exit 1). Models get seeded weights that are the same on every machine, and norm statistics that say
something. Near ties may fall another way on another kind of processor, so a comparison says where the notes
were made.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from bench.studies.common.digests import weights_digest
from bench.studies.common.requests import given
from bench.studies.common.results import results_of
from compressor.base.documents import digest
from compressor.base.errors import CompressError
from compressor.criteria import CRITERIA, criterion_of
from compressor.methods.ranking import make_plan
from compressor.rates import Budget, PruneRequest, Published, Share
from compressor.steps.shrink import shrink
from compressor.zoo import Architecture, find

RESULTS: Final = results_of("unmoved")
_SIDE = 64
_DETECTOR = (3, 160, 192)
_BATCHES, _IMAGES = 2, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One cut of one model.

    Attributes:
        model: name in the zoo.
        spec: how much to remove.
        method: criterion.
        options: of the criterion.
        parts: the only parts that are pruned; none means everywhere.
    """

    model: str
    spec: PruneRequest
    method: str = "l1"
    options: dict[str, Any] = field(default_factory=dict)
    parts: tuple[str, ...] = ()

    def words(self) -> str:
        """Return the request in one line, the key of its row."""
        return f"{self.model} {self.method} {self.options} {given(self.spec)} {' '.join(self.parts)}".strip()


def requests() -> Iterator[Request]:
    """Yield every pair: all families, criteria, targets and ways to hold groups."""
    half = PruneRequest(target=Share(0.5))
    for method in CRITERIA:
        yield Request(model="resnet20_cifar", spec=half, method=method)
        yield Request(
            model="mobilenet_v2_cifar", spec=PruneRequest(target=Budget("macs", fraction=0.6)), method=method
        )
    for metric in ("cosine", "euclidean"):
        yield Request(model="resnet20_cifar", spec=half, method="coring", options={"metric": metric})
    yield Request(model="resnet20_cifar", spec=half, method="coring", options={"compat": True})
    yield from _published()
    yield from _held()
    macs = PruneRequest(target=Budget("macs", fraction=0.5), round_to=8)
    for model in _CLASSIFIERS:
        yield Request(model=model, spec=macs)
    for model in ("fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"):
        yield Request(model=model, spec=macs, method="l2")
    for model in _DETECTORS:
        yield Request(model=model, spec=macs)
        yield Request(model=model, spec=PruneRequest(target=Share(0.3)), parts=("backbone",))


_CLASSIFIERS = (
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "mnasnet0_5", "mobilenet_v2",
    "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "resnet50", "resnext50_32x4d", "shufflenet_v2_x0_5",
    "squeezenet1_1", "vgg11_bn", "wide_resnet50_2",
)  # fmt: skip
_DETECTORS = (
    "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2",
    "keypointrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2",
)  # fmt: skip


def _published() -> Iterator[Request]:
    rows = (
        ("resnet56_cifar", "[0.]+[0.15]*2+[0.4]*27", "coring"),
        ("vgg16_bn_cifar", "[0.21]*7+[0.75]*5+[0.]", "coring"),
        ("densenet40_cifar", "[0.]+[0.08]*6+[0.09]*6+[0.08]*26", "coring"),
        ("resnet50", "[0.]+[0.1]*3+[0.35]*16", "coring"),
    )
    for model, rates, layout in rows:
        yield Request(model=model, spec=PruneRequest(target=Published(rates, layout)))


def _held() -> Iterator[Request]:
    for price in ("macs", "params"):
        for scope in ("uniform", "global"):
            yield Request(
                model="resnet56_cifar",
                spec=PruneRequest(target=Budget(price, fraction=0.4), scope=scope),
            )
    base = PruneRequest(target=Budget("macs", fraction=0.6))
    extras: Sequence[dict[str, Any]] = (
        {"protect": ("layer1*",)},
        {"own_rates": (("layer3*", 0.7), ("layer3.1*", 0.2))},
        {"max_rate": 0.5, "scope": "global"},
        {"round_to": 16, "scope": "global"},
    )
    for extra in extras:
        yield Request(model="resnet18", spec=replace(base, **extra))
    yield Request(
        model="convnext_tiny", spec=PruneRequest(target=Share(0.25), allow_inexact=True), method="l2"
    )
    yield Request(model="vit_b_16", spec=PruneRequest(target=Budget("macs", fraction=0.7)))


def row(request: Request) -> dict[str, Any]:
    """Return what a request keeps, or how it is refused."""
    arch = _architecture(request)
    model = filled(arch.build())
    criterion = criterion_of(request.method, request.options, seed=0)
    outside = arch.outside(request.parts)
    spec = replace(request.spec, protect=(*request.spec.protect, *outside))
    batches = _images(arch) if criterion.needs else None
    try:
        planned = make_plan(model, arch, spec, criterion, batches)
    except CompressError as error:
        return {"refused": type(error).__name__}
    decisions = {"groups": [asdict(group) for group in planned.plan.decisions]}
    return {"decisions": digest(decisions), "weights": weights_digest(shrink(model, planned.plan))}


def _architecture(request: Request) -> Architecture:
    arch = find(request.model)
    if request.model in _DETECTORS:
        return arch.with_options(shapes=(_DETECTOR,))
    large = request.model.startswith(("vit", "swin", "alexnet"))
    return arch if large or max(arch.input.image) <= _SIDE else arch.with_options(shapes=((3, _SIDE, _SIDE),))


def filled(model: nn.Module) -> nn.Module:
    """Give every floating-point tensor seeded values, the same on every machine; scales are positive."""
    generator = np.random.default_rng(0)
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        values = torch.from_numpy(generator.standard_normal(tuple(tensor.shape), dtype=np.float32))
        fan = max(1, tensor[0].numel()) if tensor.ndim > 1 else 1
        norm = tensor.ndim == 1 and not name.endswith(("bias", "running_mean"))
        tensor.copy_(values.abs() + 0.5 if norm else values * (2 / fan) ** 0.5)
    return model


def _images(arch: Architecture) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    generator = np.random.default_rng(1)
    for _ in range(_BATCHES):
        images = generator.standard_normal((_IMAGES, *arch.input.image), dtype=np.float32)
        yield torch.from_numpy(images), torch.from_numpy(generator.integers(0, 10, _IMAGES))


def main(arguments: Sequence[str]) -> int:
    """Write the notes, or compare with them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="note what is found")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    notes = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}}
    rows, moved = {}, []
    for number, request in enumerate(requests(), start=1):
        words = request.words()
        rows[words] = row(request)
        same = notes["rows"].get(words) == rows[words]
        moved += [] if same else [words]
        print(f"{number}: {'same' if same else 'OTHER'}: {words}", flush=True)
    if chosen.write:
        document = {"processor": torch.backends.cpu.get_cpu_capability(), "rows": rows}
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")
        return 0
    print(f"{len(rows) - len(moved)} of {len(rows)} as on {notes.get('processor')}")
    return 1 if moved or len(rows) < len(notes["rows"]) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
