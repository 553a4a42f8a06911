"""The trained network under ``examples/``: it opens, is half of its size, and documents say its score.

That it does what it says is tested with the published weights, in ``tests/compressor/artifact``.
"""

from pathlib import Path

import pytest

from bench.studies.common.results import results_of
from compressor.artifact import Artifact
from compressor.base.documents import read_json
from compressor.tasks.scores import Moment

FOLDER = Path(__file__).parent.parent / "examples" / "resnet56-half"


@pytest.fixture(scope="module")
def network() -> Artifact:
    return Artifact.load(FOLDER)


def test_it_is_small_and_says_where_it_comes_from(network: Artifact) -> None:
    papers = network.manifest
    assert papers.cost_after.macs / papers.cost_before.macs == pytest.approx(0.519, abs=1e-3)
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 2 * 2**20
    assert papers.weights_from == "resnet56-4bfd9763.th"
    assert papers.method.startswith("surgeon")
    assert papers.repair is not None


def test_its_score_is_that_of_the_study(network: Artifact) -> None:
    score = network.manifest.scores[Moment("test", "fine-tuned")]
    last = read_json(results_of("trained_half"))["cycles"][-1]
    assert score.top1 == last["after"]["top1"]  # type: ignore[attr-defined]
    text = (FOLDER.parents[1] / "README.md").read_text()
    assert f"{score.top1:.2f} %" in text  # type: ignore[attr-defined]
