"""Rows on figures that are wrong or say less than they seem to, and on files that pretend to be small."""

import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from bench.studies.trust.registry import row
from bench.studies.trust.shell import NET, Shell, unsaid

_HUGE = 2**63


@row("2 a validation folder of the user's own")
def own_folder(shell: Shell) -> str:
    """``--split val`` scores the images in ``val``."""
    for split, each in (("train", 4), ("val", 3), ("test", 2)):
        _pictures(shell.place / "pictures" / split, each)
    words = ("eval", NET, "--data", "imagefolder:pictures", "--split", "val", "--json")
    done = shell.run(*words)
    images = json.loads(done.stdout)["images"] if done.returncode == 0 else None
    return unsaid(done) or ("" if images in (30, None) else f"{images} images were scored, val has 30")


@row("2 a score on images that the checkpoint has seen")
def seen(shell: Shell) -> str:
    """It says so, or refuses."""
    words = ("eval", NET, "--weights", str(shell.models["weights"]), "--data", "digits", "--split", "val")
    done = shell.run(*words)
    return (
        "it is given without a word"
        if done.returncode == 0 and "seen" not in done.stdout + done.stderr
        else ""
    )


@row("2 pruning an artifact again")
def again(shell: Shell) -> str:
    """The multiply-adds of what was pruned are shown too."""
    artifact = shell.artifact()
    macs = json.loads((artifact / "manifest.json").read_text())["cost_after"]["macs"]
    done = shell.run("prune", "a", "--rate", "0.5", "--dry-run", "--json")
    return unsaid(done) or ("" if str(macs) in done.stdout else "only the dense model is shown as before")


@row("5 an archive of small size that holds gigabytes")
def bomb(shell: Shell) -> str:
    """It is refused before it is unpacked."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({6 * 2**30},), }}".encode()
    head = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117) + b"\n"
    with zipfile.ZipFile(shell.place / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                entry.write(head)
                for _ in range(6 * 2**30 // 2**24 if name == "x_train" else 0):
                    entry.write(bytes(2**24))
    return unsaid(shell.run("eval", NET, "--data", "npz:bomb.npz"))


@row("5 deep TOML")
def deep(shell: Shell) -> str:
    """It is no readable recipe."""
    shell.write({"r.toml": "a = " + "[" * 50_000})
    return unsaid(shell.run("run", "r.toml", "-o", "out"))


@row("5 metadata of a detector on a classifier's file")
def metadata(shell: Shell) -> str:
    """It is refused with a sentence."""
    model = onnx.load(shell.models["fp32"])
    task = next(entry for entry in model.metadata_props if entry.key == "compress.task")
    task.value = "detection"
    onnx.save(model, shell.place / "wrong.onnx")
    return unsaid(shell.run("eval", "wrong.onnx", "--data", "digits"))


@row("5 1000 threads")
def threads(shell: Shell) -> str:
    """They are refused, or it ends."""
    done = shell.run(
        "bench", str(shell.models["fp32"]), "--threads", "1000", "--batch", "1", "--seconds", "0.2"
    )
    return unsaid(done)


@row("5 a polygon with a huge coordinate")
def polygon(shell: Shell) -> str:
    """Data of COCO's format is refused, and takes no memory."""
    for split in ("train2017", "val2017"):
        _coco(shell.place / "coco", split)
    return unsaid(shell.run("eval", "maskrcnn_resnet50_fpn", "--data", "coco:coco", "--input", "3x128x128"))


def _pictures(folder: Path, each: int) -> None:
    for number in range(10):
        (folder / f"c{number}").mkdir(parents=True)
        for picture in range(each):
            pixels = np.full((40, 40, 3), 20 * number + picture, np.uint8)
            Image.fromarray(pixels).save(folder / f"c{number}" / f"{picture}.png")


def _coco(folder: Path, split: str) -> None:
    (folder / split).mkdir(parents=True)
    (folder / "annotations").mkdir(exist_ok=True)
    images = [{"id": number, "file_name": f"{number}.png", "width": 64, "height": 64} for number in (1, 2, 3)]
    for image in images:
        Image.new("RGB", (64, 64)).save(folder / split / str(image["file_name"]))
    marks = [
        {"id": image["id"], "image_id": image["id"], "category_id": 1, "bbox": [4, 4, 40, 40], "area": 1600,
         "iscrowd": 0, "segmentation": [[4, 4, _HUGE, 4, _HUGE, _HUGE]]}
        for image in images
    ]  # fmt: skip
    papers = {"images": images, "annotations": marks, "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(papers))
