"""Artifact folders: a manifest, the weights, and a model card. Nothing in one is ever executed.

A model comes back as it was built: the constructor by name, then the plan, then a strict load. Writing goes
to a temporary folder that is renamed when complete, so that an artifact exists whole or not at all.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import compressor
from compressor.artifact.card import model_card
from compressor.artifact.manifest import Manifest, architecture_of, manifest_from_json, manifest_to_json
from compressor.artifact.vetting import vetted, vetted_weights
from compressor.base.documents import digest, read_json, to_json
from compressor.base.errors import ArtifactError, UsageError
from compressor.base.files import whole_folder
from compressor.base.locks import owned
from compressor.base.text import foreign, writable
from compressor.channels.cost import macs_of, measure
from compressor.steps.shrink import shrink
from compressor.zoo import NOBODY, Trust

MANIFEST, WEIGHTS, CARD = "manifest.json", "model.safetensors", "README.md"


def write_artifact(model: nn.Module, manifest: Manifest, path: Path) -> Manifest:
    """Write an artifact and return its manifest, digest and environment filled in.

    Raises:
        UsageError: ``path`` exists, or the manifest's ``cost_after`` is not what the model costs.
        CompressError: the disk is full or not writable; nothing is left behind.
    """
    _check_cost(model, manifest)
    with owned(path), whole_folder(path) as folder:
        if path.exists():
            raise UsageError(f"{path} exists", "choose another -o, or remove it first.")
        weights = _serialised(model)
        manifest = replace(
            manifest, weights_from=writable(manifest.weights_from), data=writable(manifest.data),
            sha256=hashlib.sha256(weights).hexdigest(), environment=_environment(),
        )  # fmt: skip
        # Through JSON once, so that a number given as 1 has the same digest here as when read back as 1.0.
        manifest = manifest_from_json(json.loads(json.dumps(manifest_to_json(manifest))), str(path))
        text = {**manifest_to_json(manifest), "digest": manifest.digest()}
        (folder / WEIGHTS).write_bytes(weights)
        (folder / MANIFEST).write_text(to_json(text, str(path)))
        (folder / CARD).write_text(model_card(manifest), encoding="utf-8")
    return manifest


def _check_cost(model: nn.Module, manifest: Manifest) -> None:
    """Refuse a manifest whose figures are another model's."""
    arch, said = architecture_of(manifest), manifest.cost_after
    params = sum(parameter.numel() for parameter in model.parameters())
    macs = macs_of(arch.view(model), arch.example())
    if (params, macs) != (said.params, said.macs):
        raise UsageError(
            f"the manifest says {said.params:,} parameters and {said.macs:,} MACs, the model has {params:,} "
            f"and {macs:,}",
            "fill cost_after with compressor.channels.cost.measure of the model that is saved.",
        )


def _serialised(model: nn.Module) -> bytes:
    from safetensors.torch import save

    tensors: dict[str, torch.Tensor] = {}
    owner: dict[int, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        # Tied tensors are stored once; the constructor ties them again.
        if owner.setdefault(id(tensor), name) == name:
            tensors[name] = tensor.detach().cpu().contiguous()
    return bytes(save(tensors))


def read_artifact(
    path: Path,
    options: Mapping[str, Any] | None = None,
    shapes: tuple[tuple[int, ...], ...] | None = None,
    *,
    trust: Trust = NOBODY,
) -> tuple[nn.Module, Manifest]:
    """Return the model of an artifact in evaluation mode, and its manifest.

    Args:
        path: the folder.
        options: constructor arguments that replace the manifest's, for what does not change weights: how
            many boxes a detector keeps.
        shapes: of the input, where it is not to be the manifest's.
        trust: whose factories may be imported.

    Raises:
        ArtifactError: a file is missing, damaged, not what the manifest says, or the model is built by code
            that is not trusted.
        UsageError: the model cannot be built with the arguments, or does not fit into memory.
    """
    stored = read_manifest(path, trust)
    inputs = replace(stored.input, shapes=shapes) if shapes else stored.input
    manifest = replace(stored, arch_kwargs={**stored.arch_kwargs, **(options or {})}, input=inputs)
    arch = architecture_of(manifest)
    template = vetted(arch, manifest.plan, str(path / MANIFEST))
    state = vetted_weights(path / WEIGHTS, manifest.sha256, template)
    model = shrink(arch.build(), manifest.plan)
    problems = model.load_state_dict(state, strict=False)
    tied = {n for n, _ in model.named_parameters(remove_duplicate=False)} - {
        n for n, _ in model.named_parameters()
    }
    missing = [k for k in problems.missing_keys if k not in tied]
    if missing or problems.unexpected_keys:
        raise ArtifactError(
            f"{path / WEIGHTS} does not fit {foreign(manifest.arch)}: missing {foreign(missing[:3])}, "
            f"unknown {foreign(problems.unexpected_keys[:3])}",
            "the artifact was written by another version of the architecture; prune again.",
        )
    return model.eval(), manifest if manifest == stored else _costed(model, manifest)


def _costed(model: nn.Module, manifest: Manifest) -> Manifest:
    """Return a manifest with what the model and its dense one cost when opened otherwise than written.

    Scores are left out: they were measured with the former input and numbers of boxes.
    """
    arch = architecture_of(manifest)
    return replace(
        manifest,
        cost_before=measure(arch.view(arch.build().eval()), arch.example()),
        cost_after=measure(arch.view(model), arch.example()),
        scores={},
    )


def read_manifest(path: Path, trust: Trust = NOBODY) -> Manifest:
    """Return the manifest of an artifact folder, checked against its own digest.

    A manifest that was read may be used: what it names is of the zoo, or a factory that somebody vouched for.

    Raises:
        ArtifactError: it is missing, damaged, was edited, or names code that is not trusted.
    """
    file = path / MANIFEST
    if not file.exists():
        raise ArtifactError(f"{path} is no artifact: it has no {MANIFEST}", "give the folder of -o.")
    data = read_json(file)
    manifest = manifest_from_json(data, str(file))
    expected = data.pop("digest", None)
    if expected != digest(data):
        raise ArtifactError(
            f"{file} was changed: its digest is {digest(data)}, expected {foreign(expected)}",
            "write the artifact again; manifests are not edited by hand.",
        )
    trust.require(manifest.arch, str(path))
    return manifest


def artifact_digest(path: Path) -> str:
    """Return the identity of an artifact folder, whatever builds its model; nothing is built.

    Raises:
        ArtifactError: the manifest is missing, damaged, or was edited.
    """
    return read_manifest(path, Trust(everything=True)).digest()


def is_artifact(path: Path) -> bool:
    """Say whether a path is a folder with a manifest."""
    return (path / MANIFEST).is_file()


def _environment() -> dict[str, str]:
    import torchvision

    return {
        "compress": compressor.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }
