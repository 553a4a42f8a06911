from torch import nn

from compressor.base.modes import evaluation


def test_modes_come_back_module_by_module() -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3)).train()
    model[1].eval()
    with evaluation(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, False]
