"""Names of served modules: every layer of a detector's static graph is one of the model's."""

import torch
from torch import nn

from bench.layers.names import own_names, same_parameters
from compressor.artifact import Artifact
from compressor.zoo import find


def test_heads_of_a_detector_have_the_names_of_the_model() -> None:
    artifact = Artifact.dense(find("keypointrcnn_resnet50_fpn"), shapes=((3, 64, 64),))
    names = own_names(artifact)
    assert names["boxes.head.fc6"] == "roi_heads.box_head.fc6"
    assert names["keypoints.head.0"] == "roi_heads.keypoint_head.0"
    assert names["backbone.body.layer1.0.conv1"] == "backbone.body.layer1.0.conv1"
    served = {name.rpartition(".")[0] for name, _ in artifact.deployed()[0].named_parameters()}
    assert set(names) == served


def test_a_classifier_keeps_its_names() -> None:
    names = own_names(Artifact.dense(find("resnet20_cifar")))
    assert names
    assert all(served == own for served, own in names.items())


def test_what_holds_other_parameters_has_no_name() -> None:
    shared = nn.Linear(2, 2)
    served = nn.ModuleDict({"a": shared, "b": nn.Linear(2, 2)})
    assert same_parameters(served, nn.Sequential(nn.ReLU(), shared)) == {"a": "1"}
    assert torch.equal(served["a"].weight, shared.weight)
