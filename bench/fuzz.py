"""Damage to every kind of file that is read: ``python -m bench.fuzz --minutes 5 --seed 1``.

A good file is damaged, in its bytes or in its structure (digests made right again, as anybody can), and
read by the reader of the product. It must be refused with a message and a hint, or give what the good file
gave, or, where the structure was changed and nothing forbids it, something that was validated. Anything else
is a failure. Prints the counts per kind, and every failure with its seed.
"""

import argparse
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bench.damage import damaged, restructured
from bench.unmoved import weights_digest
from compressor.artifact import load_artifact, save_artifact, unpruned
from compressor.base.documents import digest, read_json
from compressor.base.files import scratch
from compressor.criteria import CRITERIA
from compressor.data import open_data
from compressor.errors import CompressError
from compressor.plan import plan_from_json
from compressor.prune import make_plan
from compressor.shrink import shrink
from compressor.types import InputSpec, RateSpec
from compressor.weights import built
from compressor.zoo import find
from detection.coco.records import read_document
from export.metadata import read_input, read_precision

Read = Callable[[Path], object]
Damage = Callable[[random.Random], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One kind of file.

    Attributes:
        path: where the damaged file is put and read.
        good: its content.
        read: returns something that can be compared; raises ``CompressError`` only.
        structure: returns a document damaged in its structure, or None where only bytes are damaged.
    """

    path: Path
    good: bytes
    read: Read
    structure: Damage | None = None


def trial(subject: Subject, generator: random.Random) -> str:
    """Damage a file once; return ``refused``, ``same``, or what went wrong."""
    structural = subject.structure is not None and generator.random() < 0.5
    content = (
        subject.structure(generator) if structural and subject.structure else damaged(subject.good, generator)
    )
    subject.path.write_bytes(subject.good)
    before = subject.read(subject.path)
    subject.path.write_bytes(content)
    try:
        after = subject.read(subject.path)
    except CompressError as error:
        return "refused" if error.hint and "\x1b" not in str(error) else f"no hint: {error}"
    except Exception:  # what a failure is
        return traceback.format_exc()
    return "same" if after == before or structural else f"read as something else: {after}"[:500]


def _artifact(folder: Path) -> Path:
    torch.manual_seed(0)
    arch = find("resnet20_cifar")
    model = arch.build()
    planned = make_plan(model, arch, RateSpec(target="rate", fraction=0.6), CRITERIA.get("l1")())
    small = shrink(model, planned.plan)
    dense = unpruned(model, arch, weights_from="random initialisation")
    after = unpruned(small, arch, weights_from="").cost_after
    save_artifact(small, replace(dense, plan=planned.plan, cost_after=after), folder / "artifact")
    return folder / "artifact"


def _loaded(folder: Path) -> tuple[str, str]:
    model, manifest = load_artifact(folder)
    return weights_digest(model), manifest.digest()


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
    path = folder / "plan.json"
    path.write_text(json.dumps(document))

    def read(file: Path) -> None:
        plan_from_json(read_json(file), str(file))

    return Subject(
        path=path, good=path.read_bytes(), structure=lambda g: json.dumps(restructured(document, g)).encode(),
        read=read,
    )  # fmt: skip


def _safetensors(folder: Path) -> Subject:
    path = _artifact(folder) / "model.safetensors"
    return Subject(path=path, good=path.read_bytes(), read=lambda file: _loaded(file.parent))


def _checkpoint(folder: Path) -> Subject:
    path = folder / "w.pth"
    arch = find("resnet20_cifar")
    torch.manual_seed(0)
    torch.save({k: v * 0 for k, v in arch.build().state_dict().items()}, path)

    def read(file: Path) -> None:
        built(
            arch, file, {}
        )  # weights that other bytes give are other weights: nothing says that they are wrong

    return Subject(path=path, good=path.read_bytes(), read=read)


def _npz(folder: Path) -> Subject:
    path = folder / "d.npz"
    images, labels = np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int64)
    np.savez_compressed(path, x_train=images, y_train=labels, x_test=images, y_test=labels)

    def read(file: Path) -> None:
        open_data(f"npz:{file}", InputSpec(shapes=((3, 8, 8),)))

    return Subject(path=path, good=path.read_bytes(), read=read)


def _coco(folder: Path) -> Subject:
    path = folder / "instances.json"
    polygon = [[1.0, 1.0, 5.0, 1.0, 5.0, 5.0]]
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1.0, 1.0, 4.0, 4.0], "segmentation": polygon}
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 8}],
        "annotations": [box, {**box, "id": 2, "segmentation": {"size": [8, 8], "counts": [0, 64]}}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    path.write_text(json.dumps(document))

    def read(file: Path) -> None:
        read_document(file)

    return Subject(
        path=path, good=path.read_bytes(), read=read,
        structure=lambda g: json.dumps(restructured(document, g)).encode(),
    )  # fmt: skip


def _properties(folder: Path) -> Subject:
    import onnx
    from onnx import TensorProto, helper

    path = folder / "m.onnx"
    spec = {"shapes": [[3, 8, 8]], "mean": [0.5], "std": [0.5]}
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3, 8, 8]) for n in ("input", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["input"], ["y"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)

    def written(text: str) -> bytes:
        helper.set_model_props(model, {"compress.input": text, "compress.precision": "fp32"})
        onnx.save(model, path)
        return path.read_bytes()

    def read(file: Path) -> None:
        read_input(file)
        read_precision(file)

    return Subject(
        path=path, good=written(json.dumps(spec)), read=read,
        structure=lambda g: written(json.dumps(restructured(spec, g))),
    )  # fmt: skip


KINDS: dict[str, Callable[[Path], Subject]] = {
    "manifest": _manifest, "plan": _plan, "safetensors": _safetensors, "checkpoint": _checkpoint, "npz": _npz,
    "coco": _coco, "properties": _properties,
}  # fmt: skip


def main() -> int:
    """Run for some minutes; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    failed, end = 0, time.monotonic() + 60 * arguments.minutes
    counts: Counter[str] = Counter()
    with scratch() as folder:
        subjects = {}
        for kind, make in KINDS.items():
            (folder / kind).mkdir()
            subjects[kind] = make(folder / kind)
        for seed in range(arguments.seed, arguments.seed + 10**9):
            for kind, subject in subjects.items():
                found = trial(subject, random.Random(f"{kind} {seed}"))
                counts[f"{kind} {found if found in ('refused', 'same') else 'FAILED'}"] += 1
                if found not in ("refused", "same"):
                    failed += 1
                    print(f"{kind}, seed {seed}: {found}", flush=True)
            if time.monotonic() > end:
                break
    print(json.dumps(dict(sorted(counts.items())), indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
