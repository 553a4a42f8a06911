"""What ``compress bench --project DEVICE`` does: nothing is measured on the models, and nothing is mixed."""

from pathlib import Path

from bench.projection.devices import DEVICES
from bench.projection.layers import layers_of
from bench.projection.report import Network, projected, projection_to_json, render_projection
from compressor.artifact import Artifact
from compressor.base.documents import write_json
from compressor.base.errors import UsageError
from compressor.base.files import require_free
from compressor.base.text import foreign
from compressor.cli import output
from compressor.cli.bench_run import Request
from compressor.cli.beside import Beside, Sources
from compressor.zoo import find, known_names
from detection.task import detects


def run(request: Request, device: str) -> None:
    """Project the models of a request to a device and print the result.

    Raises:
        UsageError: there is no such device, or a model is a file or runs what a projection does not cover.
    """
    if request.save:
        require_free(request.save, "--save")
    batches = (1, 8) if request.batches is None else request.batches
    if min(batches) < 1:
        raise UsageError(f"cannot project batch sizes {list(batches)}", "give numbers from 1")
    _refuse_measuring(request)
    DEVICES.get(device)
    networks = [_network(name, source) for name, source in _sources(request.models).items()]
    output.say(f"projecting to {device}: no time of these models is measured")
    report = projected(networks, device, batches, request.models.threads)
    document = projection_to_json(report)
    if request.save:
        write_json(request.save, document)
    if request.json:
        output.print_json(document)
    else:
        output.show(render_projection(report))


def _refuse_measuring(request: Request) -> None:
    request.load.refuse()
    if request.mode != "latency" or request.data is not None or request.why:
        raise UsageError(
            "--mode, --data and --why are for measuring, and a projection measures nothing",
            "leave them out, or leave out --project.",
        )


def _sources(models: Beside) -> Sources:
    if len(set(models.names)) < len(models.names):
        raise UsageError(
            f"a model is named twice in {', '.join(map(foreign, models.names))}", "name each once."
        )
    for name in set(models.names) & set(known_names()):
        _require_no_detector(name, find(name).task)  # before it is built, which takes a minute
    return models.sources()


def _network(name: str, source: Path | Artifact) -> Network:
    if isinstance(source, Path):
        raise UsageError(
            f"{foreign(name)} is an exported file, and projections are made from modules",
            "give the artifact that it was exported from.",
        )
    _require_no_detector(name, source.arch.task)
    layers = layers_of(source.view, source.example())
    return Network(name=name, digest=source.digest(), layers=layers)


def _require_no_detector(name: str, task: str) -> None:
    if detects(task):
        raise UsageError(
            f"{foreign(name)} is a detector, and a projection covers neither RoIAlign nor NMS nor the "
            "choice of proposals, which take much of its time",
            "measure it on the device: compress bench MODEL, without --project.",
        )
