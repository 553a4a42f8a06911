"""What came out, in one line per gate and per benchmark."""

from typing import ClassVar, Final

from bench.comparison import BenchReport, Comparison
from bench.report.content import Banner, Mood, Note, Part, Section, Table, text_columns
from bench.report.facts import Facts, Gate, Result
from bench.report.sections import SECTIONS

_MOODS: Final[dict[str, Mood]] = {"faster": "good", "slower": "bad", "pass": "good", "fail": "bad"}


class Verdict:
    """Gates say pass or fail; benchmarks say how much faster their models are than the baseline."""

    order: ClassVar[int] = 0

    def section(self, facts: Facts, results: tuple[Result, ...]) -> Section | None:
        """Return the banners, with the checks of every gate."""
        parts = [part for gate in facts.gates for part in _gate(gate)]
        parts += [_banner(one) for report in facts.benches for one in report.comparisons]
        if not parts:
            return None
        lead = (
            "Measured, not projected. A speed-up is the time of the baseline over that of the model, with "
            "its 95 % interval."
        )
        parts += _cautions(facts, results)
        return Section(name="verdict", title="Verdict", lead=lead, parts=tuple(parts))


def _gate(gate: Gate) -> list[Part]:
    opened = gate.verdict == "pass" and any(check.outcome == "undecided" for check in gate.checks)
    outcome = "undecided" if opened else gate.verdict
    text = f"{gate.candidate} against {gate.baseline}"
    failed = sum(check.outcome == "fail" for check in gate.checks)
    detail = f"{gate.backend} \N{MIDDLE DOT} {failed} of {len(gate.checks)} checks failed"
    rows = tuple((check.name, check.outcome, check.words) for check in gate.checks)
    table = Table(title=f"Checks of {text}", columns=text_columns("check", "result", "figures"), rows=rows)
    return [Banner(word=outcome.upper(), text=text, detail=detail, mood=_MOODS.get(outcome, "open")), table]


def _banner(one: Comparison) -> Banner:
    shows = one.verdict in ("faster", "slower")
    word = f"{one.speedup.value:.2f}\N{MULTIPLICATION SIGN}" if shows else one.verdict
    text = f"{one.model} {f'is {one.verdict} than' if shows else 'against'} {one.baseline}"
    detail = (
        f"batch {one.batch}, {one.backend} \N{MIDDLE DOT} {one.speedup.low:.2f} to {one.speedup.high:.2f}"
    )
    return Banner(word=word, text=text, detail=detail, mood=_MOODS.get(one.verdict, "open"))


def _cautions(facts: Facts, results: tuple[Result, ...]) -> list[Note]:
    notes = [note for report in facts.benches for note in _notes(report)]
    notes += [note for profile in facts.profiles for note in profile.notes]
    machines = {result.facts.environment["cpu"] for result in results if "cpu" in result.facts.environment}
    if len(machines) > 1:
        notes.append(f"results come from {len(machines)} machines: compare times within one document only")
    return [Note(text) for text in dict.fromkeys(notes)]


def _notes(report: BenchReport) -> list[str]:
    own = [f"{note}: {one.model}, batch {one.settings.batch}" for one in report.results for note in one.notes]
    return [*report.notes, *own]


VERDICT = SECTIONS.register("verdict")(Verdict())
