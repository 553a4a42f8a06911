"""Rates that no table holds give the widths that the authors' own constructors would give.

The expectations below are written from the authors' networks, layer by layer, and share nothing with the
layouts that they check.
"""

import random
from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compressor import zoo
from compressor.base.errors import UsageError
from compressor.criteria import CRITERIA
from compressor.methods.ranking import make_plan
from compressor.rates import PruneRequest, Published
from compressor.rates.layout import check_length
from compressor.steps.shrink import shrink
from compressor.zoo import Architecture

Rates = Sequence[float]
Widths = dict[str, int]


def _vgg(rates: Rates) -> Widths:
    names = [0, 1, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16]
    dense = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    each = zip(names, dense, [*rates, 0.0][:13], strict=True)
    widths = {f"features.conv{n}": int(c * (1 - r)) for n, c, r in each}
    return widths | {"classifier.linear1": 512, "classifier.linear2": 10}


def _densenet(rates: Rates, stem: int, transition: Callable[[int, int, float], int]) -> Widths:
    widths, running, dense_width = {"conv1": stem, "fc": 10}, stem, 24
    for block in (1, 2, 3):
        first = 1 + 13 * (block - 1)
        for i, rate in enumerate(rates[first : first + 12]):
            widths[f"dense{block}.{i}.conv1"] = int(12 * (1 - rate))
            running += int(12 * (1 - rate))
        dense_width += 144
        if block < 3:
            running = transition(running, dense_width, rates[first + 12])
            widths[f"trans{block}.conv1"] = running
    return widths


def _densenet_coring(rates: Rates) -> Widths:
    return _densenet(rates, 24, lambda arriving, _, rate: int(arriving * (1 - rate)))


def _densenet_central(rates: Rates) -> Widths:
    return _densenet(rates, int(24 * (1 - rates[0])), lambda _, dense, rate: int(dense * (1 - rate)))


GOOGLENET = {
    "a3": (64, 96, 128, 16, 32, 32),
    "b3": (128, 128, 192, 32, 96, 64),
    "a4": (192, 96, 208, 16, 48, 64),
    "b4": (160, 112, 224, 24, 64, 64),
    "c4": (128, 128, 256, 24, 64, 64),
    "d4": (112, 144, 288, 32, 64, 64),
    "e4": (256, 160, 320, 32, 128, 128),
    "a5": (256, 160, 320, 32, 128, 128),
    "b5": (384, 192, 384, 48, 128, 128),
}
"""1x1, before 3x3, 3x3, before 5x5, 5x5, after the pool."""


def _googlenet(stem: int, pruned: Callable[[int, int, int], tuple[int, int, int]]) -> Widths:
    widths = {"pre_layers.0": stem, "linear": 10}
    for block, (name, (one, before3, three, before5, five, pool)) in enumerate(GOOGLENET.items()):
        three_kept, five_mid, five_kept = pruned(block, three, five)
        names = ("1x1.0", "3x3.0", "3x3.3", "5x5.0", "5x5.3", "5x5.6", "_pool.1")
        values = (one, before3, three_kept, before5, five_mid, five_kept, pool)
        widths |= {f"inception_{name}.branch{n}": v for n, v in zip(names, values, strict=True)}
    return widths


def _googlenet_coring(rates: Rates) -> Widths:
    def pruned(block: int, three: int, five: int) -> tuple[int, int, int]:
        share = 1 - rates[block + 1]
        mid = int(five * share)
        return (three, mid, five) if block == 8 else (int(three * share), mid, mid)

    return _googlenet(192, pruned)


def _googlenet_central(rates: Rates) -> Widths:
    def pruned(block: int, three: int, five: int) -> tuple[int, int, int]:
        a, b, c = (1.0 - r for r in rates[1 + 3 * block : 4 + 3 * block])
        mid = int(five * b)
        return (three, mid, five) if block == 8 else (int(round(three * a, 3)), mid, int(round(five * c, 3)))

    return _googlenet(int(192 * (1.0 - rates[0])), pruned)


STAGES = ((16, 1), (24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1))


def _mobilenet(rates: Rates, expand: str, depthwise: str, project: str) -> Widths:
    widths, incoming, place = {"features.0.0": 32, "features.18.0": 1280, "classifier.1": 10}, 32, 0
    for (width, blocks), rate in zip(STAGES, rates[1:], strict=True):
        for _ in range(blocks):
            place += 1
            if place > 1:
                widths[f"features.{place}.{expand}"] = widths[f"features.{place}.{depthwise}"] = 6 * incoming
                widths[f"features.{place}.{project}"] = int((1 - rate) * width)
            incoming = int((1 - rate) * width)
    return widths


def _mobilenet_cifar(rates: Rates) -> Widths:
    first = {"features.1.conv.0": 32, "features.1.conv.3": int(16 * (1 - rates[1]))}
    return _mobilenet(rates, "conv.0", "conv.3", "conv.6") | first


def _mobilenet_imagenet(rates: Rates) -> Widths:
    first = {"features.1.conv.0.0": 32, "features.1.conv.1": int(16 * (1 - rates[1])), "classifier.1": 1000}
    return _mobilenet(rates, "conv.0.0", "conv.1.0", "conv.2") | first


def _resnet56(rates: Rates) -> Widths:
    widths = {"conv1": int(16 * (1 - rates[0])), "fc": 10}
    for n, rate in enumerate(rates[3:]):
        stage, block = divmod(n, 9)
        widths[f"layer{stage + 1}.{block}.conv1"] = int(16 * 2**stage * (1 - rate))
        widths[f"layer{stage + 1}.{block}.conv2"] = int(16 * 2**stage * (1 - (*rates[1:3], 0.0)[stage]))
    return widths


def _resnet50(rates: Rates) -> Widths:
    widths, mid_rates = {"conv1": int(64 * (1 - rates[0])), "fc": 1000}, iter(rates[4:])
    for stage, (blocks, rate) in enumerate(zip((3, 4, 6, 3), (*rates[1:4], 0.0), strict=True)):
        out = int(256 * 2**stage * (1 - rate))
        widths[f"layer{stage + 1}.0.downsample.0"] = out
        for block in range(blocks):
            mid = int(64 * 2**stage * (1 - next(mid_rates)))
            widths |= {f"layer{stage + 1}.{block}.conv{n}": w for n, w in ((1, mid), (2, mid), (3, out))}
    return widths


EXPECTED: dict[tuple[str, str], tuple[int, set[int], Callable[[Rates], Widths]]] = {
    ("vgg16_bn_cifar", "coring"): (13, set(), _vgg),
    ("vgg16_bn_cifar", "central-filter"): (12, set(), _vgg),
    ("densenet40_cifar", "coring"): (39, {0}, _densenet_coring),
    ("densenet40_cifar", "central-filter"): (39, set(), _densenet_central),
    ("googlenet_cifar", "coring"): (10, {0}, _googlenet_coring),
    ("googlenet_cifar", "central-filter"): (28, {25, 27}, _googlenet_central),
    ("mobilenet_v2_cifar", "coring"): (8, {0}, _mobilenet_cifar),
    ("mobilenet_v2", "coring"): (8, {0}, _mobilenet_imagenet),
    ("resnet56_cifar", "coring"): (30, set(), _resnet56),
    ("resnet50", "coring"): (20, set(), _resnet50),
}
"""Numbers in a string, those of them that are ignored, and what the rest means."""

CIFAR = ["densenet40_cifar", "googlenet_cifar", "mobilenet_v2_cifar", "vgg16_bn_cifar"]
SMALL = ((3, 64, 64),)
"""Widths do not depend on the image; ImageNet networks are pruned on a small one."""

each_layout = pytest.mark.parametrize(("name", "layout"), EXPECTED)


def _find(name: str) -> Architecture:
    return zoo.find(name) if name.endswith("_cifar") else zoo.find(name).with_options(shapes=SMALL)


def _made(model: nn.Module) -> Widths:
    """Return the output channels of every convolution and linear layer."""
    return {
        name: module.weight.shape[0]
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }


@pytest.mark.parametrize("seed", [0, 1])
@each_layout
def test_random_rates_shrink_to_the_authors_network(name: str, layout: str, seed: int) -> None:
    length, _, expected = EXPECTED[name, layout]
    rates = [round(random.Random(seed * 100 + i).uniform(0, 0.9), 2) for i in range(length)]
    arch = _find(name)
    model = arch.build()
    spec = PruneRequest(target=Published(str(rates), layout))
    small = shrink(model, make_plan(model, arch, spec, CRITERIA.get("l1")()).plan)
    assert _made(small) == expected(rates)


@each_layout
def test_any_rates_give_the_authors_widths(name: str, layout: str) -> None:
    length, _, expected = EXPECTED[name, layout]
    arch = _find(name)
    sizes = _made(arch.build())

    @settings(max_examples=50, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.floats(0, 0.9), min_size=length, max_size=length))
    def widths_agree(rates: list[float]) -> None:
        widths = arch.layouts[layout].widths(rates, sizes)
        assert widths == {path: expected(rates)[path] for path in widths}

    widths_agree()


@pytest.mark.parametrize("change", [-1, 1])
@each_layout
def test_a_wrong_length_is_refused_with_the_meanings(name: str, layout: str, change: int) -> None:
    length, _, _ = EXPECTED[name, layout]
    words = _find(name).layouts[layout].expected
    with pytest.raises(UsageError, match=f"takes {length}") as error:
        check_length(_find(name).layouts[layout], [0.1] * (length + change), name, layout)
    assert len(words) == length
    assert all(word and word in error.value.hint for word in words)


def test_the_scripts_twelve_rates_for_vgg_are_refused_by_the_planner() -> None:
    arch = _find("vgg16_bn_cifar")
    spec = PruneRequest(target=Published("[0.21]*7+[0.75]*5", "coring"))
    with pytest.raises(UsageError, match=r"12 rates .* takes 13") as error:
        make_plan(arch.build(), arch, spec, CRITERIA.get("l1")())
    assert "features.conv16" in error.value.hint


@each_layout
def test_an_ignored_entry_says_so_and_changes_nothing(name: str, layout: str) -> None:
    arch = _find(name)
    chosen = arch.layouts[layout]
    sizes = _made(arch.build())
    ignored = {i for i, words in enumerate(chosen.expected) if "ignored" in words}
    assert ignored == EXPECTED[name, layout][1]
    rates = [0.3] * len(chosen.expected)
    for i in ignored:
        assert chosen.widths([*rates[:i], 0.7, *rates[i + 1 :]], sizes) == chosen.widths(rates, sizes)


@pytest.mark.parametrize("name", CIFAR)
def test_images_become_logits(name: str) -> None:
    arch = zoo.find(name).with_options(kwargs={"num_classes": 7})
    with torch.no_grad():
        assert arch.build()(*arch.example(batch=3)).shape == (3, 7)


PUBLISHED_KEYS: dict[str, dict[str, tuple[int, ...]]] = {
    "vgg16_bn_cifar": {
        "features.conv0.weight": (64, 3, 3, 3),
        "classifier.linear1.weight": (512, 512),
        "classifier.norm1.running_mean": (512,),
    },
    "densenet40_cifar": {
        "conv1.weight": (24, 3, 3, 3),
        "dense3.11.conv1.weight": (12, 444, 3, 3),
        "trans1.conv1.weight": (168, 168, 1, 1),
        "fc.weight": (10, 456),
    },
    "googlenet_cifar": {
        "pre_layers.0.bias": (192,),
        "inception_a3.branch1x1.0.weight": (64, 192, 1, 1),
        "inception_b3.branch5x5.6.bias": (96,),
        "inception_d4.branch5x5.7.running_mean": (64,),
        "linear.weight": (10, 1024),
    },
    "mobilenet_v2_cifar": {
        "features.0.0.weight": (32, 3, 3, 3),
        "features.1.conv.3.weight": (16, 32, 1, 1),
        "features.2.conv.3.weight": (96, 1, 3, 3),
    },
}


@pytest.mark.parametrize("name", CIFAR)
def test_published_keys_are_the_models_own(name: str) -> None:
    arch = zoo.find(name)
    state = arch.build().state_dict()
    assert set(arch.rename(state)) == set(state)
    assert {key: tuple(state[key].shape) for key in PUBLISHED_KEYS[name]} == PUBLISHED_KEYS[name]


FLAT_TO_NESTED = {
    "features.0.0.weight": "features.0.0.weight",
    "features.1.conv.0.weight": "features.1.conv.0.0.weight",
    "features.1.conv.1.running_mean": "features.1.conv.0.1.running_mean",
    "features.1.conv.3.weight": "features.1.conv.1.weight",
    "features.1.conv.4.bias": "features.1.conv.2.bias",
    "features.10.conv.3.weight": "features.10.conv.1.0.weight",
    "features.10.conv.4.num_batches_tracked": "features.10.conv.1.1.num_batches_tracked",
    "features.17.conv.6.weight": "features.17.conv.2.weight",
}


def test_a_flat_mobilenet_checkpoint_loads_into_torchvisions() -> None:
    arch = zoo.find("mobilenet_v2")
    flat = zoo.find("mobilenet_v2_cifar").with_options(kwargs={"num_classes": 1000}).build().state_dict()
    nested = arch.build().state_dict()
    renamed = arch.rename(flat)
    assert {k: v.shape for k, v in renamed.items()} == {k: v.shape for k, v in nested.items()}
    assert all(renamed[new] is flat[old] for old, new in FLAT_TO_NESTED.items())
    assert set(arch.rename(nested)) == set(nested)
