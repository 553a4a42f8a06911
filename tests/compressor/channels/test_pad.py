import pytest
import torch
import torch.nn.functional as F

from compressor.channels import ChannelPad


@pytest.mark.parametrize(("inside", "outside"), [(16, 32), (16, 16), (16, 13), (3, 8)])
def test_a_fresh_pad_centres_its_input(inside: int, outside: int) -> None:
    x = torch.randn(2, inside, 4, 4)
    front = (outside - inside) // 2
    assert torch.equal(
        ChannelPad(inside, outside)(x), F.pad(x, (0, 0, 0, 0, front, outside - inside - front))
    )


def test_removing_channels_edits_the_pairing() -> None:
    x = torch.randn(2, 4, 3, 3)
    pad = ChannelPad(4, 6)
    full = pad(x)
    pad.change_channels("out", [0, 2, 3, 4], [0, -1, 1, 2, 3, -1])
    assert torch.equal(pad(x), full[:, [0, 2, 3, 4]])
    pad.change_channels("in", [1, 3], [-1, 0, -1, 1])
    assert pad.source == (-1, 0, -1, 1)
    assert torch.equal(pad(x[:, [1, 3]])[:, 2], torch.zeros(2, 3, 3))


def test_a_masked_input_reads_as_zero() -> None:
    pad, x = ChannelPad(4, 4), torch.randn(1, 4, 2, 2)
    pad.mask_channels("in", [0, 3], [0, -1, -1, 1])
    expected = x.clone()
    expected[:, 1:3] = 0
    assert torch.equal(pad(x), expected)


def test_nothing_fed_gives_zeros() -> None:
    pad = ChannelPad(2, 3)
    pad.mask_channels("in", [], [-1, -1])
    assert torch.equal(pad(torch.ones(1, 2, 2, 2)), torch.zeros(1, 3, 2, 2))
