"""Layers of a file in fewer bits that compute in more."""

from typing import Final

from bench.profile.lints import LINTS, Lint, Subject

_LOW: Final = ("fp16", "bf16", "int8")


@LINTS.register("precision")
def precision(subject: Subject) -> list[Lint]:
    """Count layers that the runtime computes in fp32 although the file says otherwise."""
    layers = [node for node in subject.nodes if node.layer]
    stayed = [node for node in layers if node.precision == "fp32"]
    if subject.precision not in _LOW or not stayed:
        return []
    spent_ms = sum(node.ms for node in stayed)
    what = (
        f"{len(stayed)} of {len(layers)} layers of this {subject.precision} file ran in fp32 and take "
        f"{spent_ms:.3g} ms"
    )
    step = "use a runtime or device with such kernels, or an fp32 file; compress export names what it leaves."
    module = stayed[0].module if len(stayed) == 1 else ""
    return [Lint(kind="precision", module=module, ms=None, what=what, next=step)]
