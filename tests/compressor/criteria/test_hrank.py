import pytest
import torch
from torch import Tensor, nn

from compressor.base.errors import UsageError
from compressor.base.modules import named_tensors
from compressor.channels import trace
from compressor.criteria import CRITERIA
from compressor.criteria.chip import Chip
from compressor.criteria.hrank import HRank
from compressor.criteria.view import Statistics, group_view
from compressor.methods.collect import FeatureReducer, collect


class Net(nn.Module):
    """A convolution with a norm, one without, a depthwise one, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.conv2 = nn.Conv2d(6, 4, 3, padding=1)
        self.hidden = nn.Linear(4, 5)
        self.fc = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu_(self.norm1(self.conv1(x)))
        x = self.conv2(self.depthwise(x)).relu_()
        result: Tensor = self.fc(self.hidden(x.mean(dim=(2, 3))).relu())
        return result


class Seen:
    """A criterion that only keeps what it is shown."""

    def reduce(self, features: Tensor) -> Tensor:
        return features.mean(dim=(0, 2, 3))


def batches(count: int, size: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, 8, 8, generator=generator)
    return [(x, torch.zeros(len(x), dtype=torch.long)) for x in images.split(size)]


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    net = Net()
    nn.init.normal_(net.norm1.weight)
    nn.init.normal_(net.norm1.bias)
    return net


def test_is_registered() -> None:
    assert CRITERIA.get("hrank") is HRank
    assert isinstance(HRank(), FeatureReducer)


def test_ranks_derived_by_hand() -> None:
    ramp = torch.tensor([1.0, 2.0, 3.0])
    maps = torch.stack([torch.eye(3), torch.outer(ramp, ramp), -torch.eye(3), torch.diag(ramp - 1)])
    other = torch.stack([torch.eye(3), torch.zeros(3, 3), torch.eye(3), torch.eye(3)])
    # Rectified, the third map is zero. Means over the two images: (3 + 3)/2, (1 + 0)/2, (0 + 3)/2, (2 + 3)/2.
    assert HRank().reduce(torch.stack([maps, other])).tolist() == [3, 0.5, 1.5, 2.5]


def test_statistics_do_not_depend_on_the_batch_size(net: Net) -> None:
    for criterion in (HRank(), Chip()):
        whole = collect(net, criterion, batches(7, 7)).features
        parts = collect(net, criterion, iter(batches(7, 3))).features
        assert whole.keys() == parts.keys()
        for name, values in whole.items():
            torch.testing.assert_close(parts[name], values, rtol=1e-5, atol=1e-5)


def test_maps_are_read_after_the_norm_where_there_is_one(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HRank, "reduce", Seen.reduce)
    (x, labels), net = batches(5, 5)[0], net.eval()
    features = collect(net, HRank(), [(x, labels)]).features
    normed = net.norm1(net.conv1(x))
    through = net.depthwise(normed.relu())
    expected = {
        "conv1.weight": normed.mean(dim=(0, 2, 3)),
        "depthwise.weight": through.mean(dim=(0, 2, 3)),
        "conv2.weight": net.conv2(through).mean(dim=(0, 2, 3)),
        "hidden.weight": net.hidden(net.conv2(through).relu().mean(dim=(2, 3))).mean(dim=0),
    }
    assert set(features) == {*expected, "fc.weight"}
    for name, values in expected.items():
        torch.testing.assert_close(features[name], values.double(), rtol=1e-4, atol=1e-6, check_dtype=False)


def test_scores_are_averaged_over_layers_of_a_group(net: Net) -> None:
    graph = trace(net, (torch.randn(1, 3, 8, 8),))
    statistics = collect(net, HRank(), batches(4, 2))
    scores = HRank()(group_view(named_tensors(net), graph, graph.by_producer["conv1"], statistics))
    expected = (statistics.features["conv1.weight"] + statistics.features["depthwise.weight"]) / 2
    torch.testing.assert_close(scores, expected.float())


def test_model_is_left_as_it_was(net: Net) -> None:
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    collect(net, HRank(), batches(4, 2))
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_missing_data_is_an_error(net: Net) -> None:
    with pytest.raises(UsageError, match="needs activations"):
        collect(net, HRank(), None)
    with pytest.raises(UsageError, match="no feature maps"):
        collect(net, HRank(), [])
    graph = trace(net, (torch.randn(1, 3, 8, 8),))
    with pytest.raises(UsageError, match=r"conv1\.weight"):
        HRank()(group_view(named_tensors(net), graph, graph.by_producer["conv1"], Statistics()))
