"""What repair did to the layers of an artifact, for its papers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRepair:
    """One layer. Errors are root mean squares relative to what the dense model computes there, after ReLU.

    Attributes:
        layer: its name.
        before: error with the weights it had, on inputs from the network repaired so far.
        after: error with the new weights on the same rows; never larger.
        rows: positions of images that the weights were fitted on.
        columns: weights of one output; fewer rows than these leave them to the ridge.
        ridge: strength relative to the mean diagonal of the Gram matrix; 0 where nothing was solved.
    """

    layer: str
    before: float
    after: float
    rows: int
    columns: int
    ridge: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """A whole network.

    Attributes:
        images: calibration images; their labels were not looked at.
        norms: where the norms' statistics come from: ``fitted`` or ``estimated``.
        layers: in the order in which they were repaired.
        left: layers that stay as they are, each with the reason.
    """

    images: int
    norms: str
    layers: tuple[LayerRepair, ...]
    left: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the report in one sentence."""
        solved = [layer for layer in self.layers if layer.ridge]
        short = [layer for layer in solved if layer.rows <= layer.columns]
        words = f"{len(solved)} of {len(self.layers)} layers fitted on {self.images} images"
        if not short:
            return words
        worst = max(short, key=lambda layer: layer.columns / layer.rows)
        needed = -(-self.images * (worst.columns + 1) // worst.rows)
        return (
            f"{words}; {len(short)} have more weights than rows and lean on the ridge, {worst.layer} most: "
            f"{needed} images would determine it"
        )
