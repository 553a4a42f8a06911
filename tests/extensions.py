"""A distribution from outside with one of everything that a registry holds, each in one file.

What CONTRIBUTING.md shows whole is taken from there.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

CONTRIBUTING: Final = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()


def shown(words: str) -> str:
    """Return the one example of CONTRIBUTING.md that holds some words."""
    (code,) = (c for c in re.findall(r"```python\n(.*?)```", CONTRIBUTING, re.DOTALL) if words in c)
    return str(code)


FAMILY = """
from torch import nn
from compressor.zoo import FAMILIES, Architecture
from compressor.zoo.inputs import InputSpec
from compressor.zoo.options import CLASSES

def net(num_classes=10):
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1),
        nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, num_classes))

@FAMILIES.register("minute")
class Minute:
    @staticmethod
    def names():
        return ["minute", "minute_exam"]

    @staticmethod
    def architecture(name):
        return Architecture(
            name=name, constructor=net, input=InputSpec(shapes=((3, 8, 8),)),
            options={"num_classes": CLASSES}, task="exam" if "exam" in name else "classification")
"""

RULE = """
import torch
from torch import nn
from compressor.channels.rules import rule

LIBRARY = torch.library.Library("outside", "DEF")
LIBRARY.define("doubled(Tensor x) -> Tensor")
LIBRARY.impl("doubled", lambda x: x + x, "CPU")

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)

    def forward(self, x):
        return self.two(torch.ops.outside.doubled(self.one(x))).mean((2, 3))

@rule("outside.doubled")
def doubled(tracer, call):
    tracer.put(call.output, tracer.shadow(call["x"]).factors)
"""

DATASET = '''"""``stripes:IMAGES``: stripes that are horizontal or vertical."""
import numpy as np
from compressor.data import DATASETS, ArrayPixels, Labelled, Source

@DATASETS.register("stripes")
def stripes(argument, inputs):
    labels = np.arange(int(argument)) % 2
    images = np.zeros((len(labels), *inputs.image[1:], 1), np.uint8)
    images[labels == 0, ::2], images[labels == 1, :, ::2] = 255, 255
    split = Labelled(pixels=ArrayPixels(images), labels=labels)
    return Source(name="stripes", classes=10, train=split, test=split)
'''

TASK = """
from dataclasses import replace
from compressor.base.errors import UsageError
from compressor.tasks.classification import CLASSIFICATION, LabelledImages
from compressor.tasks.task import TASKS

class Exam(LabelledImages):
    def open(self, spec, inputs, model):
        if spec != "exam":
            raise UsageError(f"an exam has no {spec}", "give --data exam.")
        return super().open("stripes:20", inputs, model)

EXAM = TASKS.register("exam")(replace(CLASSIFICATION, data=Exam()))
"""

BACKEND = """
from dataclasses import dataclass
from export.backends import BACKENDS

@dataclass(frozen=True)
class Echo:
    name: str = "echo"
    suffix: str = ""
    usual: bool = False
    packages: tuple = ()

    def missing(self, device):
        return None

    def open(self, model, options):
        return BACKENDS.get("torch").open(model, options)

ECHO = BACKENDS.register("echo")(Echo())
"""

MODE = """
from bench.interleaved import interleaved
from bench.modes import MODES

class Single:
    scenario = "SingleStream"

    def batches(self, asked, load):
        load.refuse()
        return (1,)

    def measure(self, run, found):
        found.results += interleaved(run, 1)

SINGLE = MODES.register("single")(Single())
"""

ROUNDED = """
from dataclasses import replace
from compressor.criteria import CRITERIA
from compressor.methods import METHODS
from compressor.methods.ranked import Ranked
from compressor.steps.shrink import check
from round_weights import RoundWeights

class Rounded(Ranked):
    def start(self, artifact, request, batches):
        found = super().start(artifact, request, batches)
        names = tuple(name for name, _ in artifact.module.named_parameters())
        plan = replace(found.plan, steps=(*found.plan.steps, RoundWeights(parameters=names)))
        return replace(found, plan=plan, oracle=check(artifact.view, plan, artifact.example()))

@METHODS.register("rounded")
def rounded(options, seed):
    return Rounded.by("l1", options, seed)
"""

RESULT = """
from bench.report.facts import Facts, Scored
from bench.report.kinds import RESULTS

class Exam:
    made_by = "an examiner"

    def claims(self, document):
        return "exam" in document

    def facts(self, document, where):
        score = Scored(model=document["exam"], metric="points", data="exam", split="test", quality=50.0,
                       words="half of the points", images=1)
        return Facts(scores=(score,))

EXAM = RESULTS.register("exam")(Exam())
"""

LINT = """
from bench.profile.lints import LINTS, Lint, Subject


@LINTS.register("praise_of_speed")
def praise(subject: Subject) -> list[Lint]:
    what = f"{len(subject.nodes)} nodes"
    return [Lint(kind="praise_of_speed", module="", ms=None, what=what, next="be glad.")]
"""

PROFILER = """
from bench.profile.runtimes import PROFILERS, Timed


class Echoes:
    def nodes(self, model, feed, sampling):
        return (Timed(name="echo", kind="Echo", ms=1.0, precision="fp32", origin=()),)


ECHOES = PROFILERS.register("echo")(Echoes())
"""

SECTION = """
from bench.report.content import Note, Section
from bench.report.sections import SECTIONS

class Praise:
    order = 5

    def section(self, facts, results):
        return Section(name="praise", title="Praise", lead="Well done.", parts=(Note("Really."),))

PRAISE = SECTIONS.register("praise")(Praise())
"""

MADE: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "architecture family": ("minute = minute:Minute", {"minute.py": FAMILY}),
    "backend": ("echo = echo:ECHO", {"echo.py": BACKEND}),
    "criterion": ("linf = linf:LInf", {"linf.py": shown("CRITERIA.register")}),
    "dataset": ("stripes = stripes:stripes", {"stripes.py": DATASET}),
    "method": ("best_of = best_of:best_of", {"best_of.py": shown("METHODS.register")}),
    "lint": ("praise_of_speed = praising:praise", {"praising.py": LINT}),
    "mode": ("single = single:SINGLE", {"single.py": MODE}),
    "operation rule": ("outside.doubled = doubled:doubled", {"doubled.py": RULE}),
    "plan step": (
        "round_weights = round_weights:RoundWeights",
        {"round_weights.py": shown("STEPS.register")},
    ),
    "profiler": ("echo = echoes:ECHOES", {"echoes.py": PROFILER}),
    "projection": ("card = card:CARD", {"card.py": shown("DEVICES.register")}),
    "price": ("blocks = blocks:BLOCKS", {"blocks.py": shown("PRICES.register")}),
    "report section": ("praise = praise:PRAISE", {"praise.py": SECTION}),
    "result": ("exam = exam_result:EXAM", {"exam_result.py": RESULT}),
    "task": ("exam = exam:EXAM", {"exam.py": TASK}),
}
"""Kind of a registry -> the entry point, and every file that one more of it takes."""


def install(folder: Path) -> None:
    """Write the distribution into a folder, where it is found once the folder is on the path."""
    info = folder / "outside-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (folder / "rounded.py").write_text(ROUNDED)  # plans a step, which is no more than part of a plan
    points = [("method", "rounded = rounded:rounded")]
    for kind, (point, files) in MADE.items():
        points.append((kind, point))
        for name, code in files.items():
            (folder / name).write_text(code)
    sections: dict[str, list[str]] = {}
    for kind, point in points:
        sections.setdefault(f"[compress.{kind.replace(' ', '_')}]", []).append(point)
    lines = [line for section, inside in sections.items() for line in (section, *inside)]
    (info / "entry_points.txt").write_text("\n".join(lines))
