"""Kinds of files that are read, each with what it says: see `bench.studies.fuzz.trials`."""

import hashlib
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.studies.common.digests import weights_digest
from bench.studies.fuzz.damage import damaged, restructured
from bench.studies.fuzz.trials import Subject
from compressor.artifact import Artifact
from compressor.artifact.weights import built
from compressor.base.documents import digest, encode, read_json
from compressor.data import open_data
from compressor.methods import prune
from compressor.methods.ranked import Ranked
from compressor.rates import PruneRequest, Share
from compressor.steps.plan import plan_from_json, plan_to_json
from compressor.training.checkpoint import Identity, RunFolder
from compressor.zoo import find
from compressor.zoo.inputs import InputSpec
from detection.coco.records import read_document
from export.metadata import read_input, read_precision
from export.tensorrt.device import GpuFacts
from export.tensorrt.sidecar import EngineRecord, TensorRecord, read_record, record_to_text, sidecar_path


def written(document: object) -> bytes:
    """Return a document as JSON."""
    return json.dumps(document).encode()


def document_kind(path: Path, document: Any, read: Callable[[Path], Any]) -> Subject:
    """Return a JSON document that no digest protects; ``read`` returns it as it was understood."""
    path.write_bytes(written(document))
    return Subject(
        path=path, good=path.read_bytes(), read=read,
        structure=lambda g: written(restructured(document, g)), write=written, guarded=False,
    )  # fmt: skip


def _artifact(folder: Path) -> Path:
    torch.manual_seed(0)
    dense = Artifact.dense(find("resnet20_cifar"))
    request = PruneRequest(target=Share(0.6))
    prune(dense, request, Ranked.by("l1", {}, 0), words="l1").save(folder / "artifact")
    return folder / "artifact"


def _loaded(folder: Path) -> tuple[str, str]:
    artifact = Artifact.load(folder)
    return weights_digest(artifact.module), artifact.digest()


def _manifest(folder: Path) -> Subject:
    path = _artifact(folder) / "manifest.json"
    document = json.loads(path.read_text())

    def structure(generator: random.Random) -> bytes:
        changed = restructured({k: v for k, v in document.items() if k != "digest"}, generator)
        return json.dumps({**changed, "digest": digest(changed)}).encode()

    return Subject(
        path=path, good=path.read_bytes(), read=lambda file: _loaded(file.parent), structure=structure
    )


def _plan(folder: Path) -> Subject:
    document = json.loads((_artifact(folder) / "manifest.json").read_text())["plan"]

    def read(file: Path) -> Any:
        return plan_to_json(plan_from_json(read_json(file), str(file)))

    return document_kind(folder / "plan.json", document, read)


def _safetensors(folder: Path) -> Subject:
    path = _artifact(folder) / "model.safetensors"
    document = json.loads((path.parent / "manifest.json").read_text())
    document.pop("digest")

    def settle(content: bytes) -> None:
        said = {**document, "sha256": hashlib.sha256(content).hexdigest()}
        (path.parent / "manifest.json").write_bytes(written({**said, "digest": digest(said)}))

    good = path.read_bytes()
    return Subject(
        path=path, good=good, read=lambda file: _loaded(file.parent)[0],
        structure=lambda g: damaged(good, g), settle=settle,
    )  # fmt: skip


def _checkpoint(folder: Path) -> Subject:
    path = folder / "w.pth"
    arch = find("resnet20_cifar")
    torch.manual_seed(0)
    torch.save({k: v * 0 for k, v in arch.build().state_dict().items()}, path)

    def read(file: Path) -> str:
        return weights_digest(built(arch, file, {})[0])

    return Subject(path=path, good=path.read_bytes(), read=read, guarded=False)


def _training(folder: Path) -> Subject:
    path = folder / "checkpoint.pt"
    identity = Identity(recipe={"epochs": 2}, data="digits, 9 images", start="0" * 64)
    runs = RunFolder(path=folder, identity=identity)
    state = {"epoch": 1, "model": {"weight": torch.zeros(3, 2)}, "history": [{"loss": 0.5}]}
    runs.save(state)
    good = path.read_bytes()
    magic = good[: good.index(b"\n") + 1]

    def structure(generator: random.Random) -> bytes:
        buffer = folder / "changed.pt"
        content = {"version": 2, "identity": encode(identity), "state": state}
        torch.save(restructured(content, generator), buffer)
        payload = buffer.read_bytes()
        if generator.random() < 0.5:
            payload = damaged(good[len(magic) + 32 :], generator)
        return magic + hashlib.sha256(payload).digest() + payload

    return Subject(path=path, good=good, read=lambda _: canonical(runs.load()), structure=structure)


def canonical(value: Any) -> Any:
    """Return nested tensors and arrays as something that can be compared."""
    if isinstance(value, Tensor | np.ndarray):
        array = np.ascontiguousarray(value)
        return [str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, Mapping):
        return {key: canonical(inner) for key, inner in value.items()}
    return [canonical(inner) for inner in value] if isinstance(value, list | tuple) else repr(value)


def _npz(folder: Path) -> Subject:
    path = folder / "d.npz"
    images, labels = np.arange(768, dtype=np.uint16).astype(np.uint8).reshape(4, 8, 8, 3), np.arange(4)
    np.savez_compressed(path, x_train=images, y_train=labels, x_test=images, y_test=labels)

    def read(file: Path) -> Any:
        data = open_data(f"npz:{file}", InputSpec(shapes=((3, 8, 8),)))
        splits = (data.train, data.val, data.test)
        batches = [next(split.batches(8, device=torch.device("cpu"))) for split in splits]
        return [data.classes, canonical(batches)]

    return Subject(path=path, good=path.read_bytes(), read=read, guarded=False)


def _coco(folder: Path) -> Subject:
    polygon = [[1.0, 1.0, 5.0, 1.0, 5.0, 5.0]]
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1.0, 1.0, 4.0, 4.0], "segmentation": polygon}
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
        "annotations": [box, {**box, "id": 2, "segmentation": {"size": [8, 8], "counts": [0, 64]}}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    return document_kind(folder / "instances.json", document, lambda file: encode(read_document(file)))


def _sidecar(folder: Path) -> Subject:
    shape = (1, 3, 8, 8)
    record = EngineRecord(
        tensorrt="10.16.1.11", gpu=GpuFacts(name="T", compute_capability="7.5", cuda="12", driver="5"),
        onnx_sha256="0" * 64, engine_sha256="1" * 64, timing_cache_sha256="2" * 64, timing_cache_reused=False,
        batches=(1, 1, 8), inputs=(TensorRecord(name="x", dtype="float32", smallest=shape, largest=shape),),
        workspace_bytes=2**30, optimization_level=3, tf32=False, precision="fp32",
        precision_share={"fp32": 1.0}, metadata={"compress.precision": "fp32"},
    )  # fmt: skip
    document = json.loads(record_to_text(record))
    path = folder / "m.engine"
    return document_kind(sidecar_path(path), document, lambda _: encode(read_record(path)))


def _properties(folder: Path) -> Subject:
    import onnx
    from onnx import TensorProto, helper

    path = folder / "m.onnx"
    spec = {"shapes": [[3, 8, 8]], "mean": [0.5], "std": [0.5]}
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3, 8, 8]) for n in ("input", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["input"], ["y"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)

    def made(text: str) -> bytes:
        helper.set_model_props(model, {"compress.input": text, "compress.precision": "fp32"})
        onnx.save(model, path)
        return path.read_bytes()

    def read(file: Path) -> Any:
        return [encode(read_input(file)), read_precision(file)]

    return Subject(
        path=path, good=made(json.dumps(spec)), read=read,
        structure=lambda g: made(json.dumps(restructured(spec, g))), guarded=False,
    )  # fmt: skip


KINDS: dict[str, Callable[[Path], Subject]] = {
    "manifest": _manifest, "plan": _plan, "safetensors": _safetensors, "checkpoint": _checkpoint, "npz": _npz,
    "coco": _coco, "properties": _properties, "training": _training, "sidecar": _sidecar,
}  # fmt: skip
