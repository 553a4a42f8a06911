import os
import subprocess
from pathlib import Path

import pytest

from bench import readings as module
from bench.conditions import Conditions, Readings, spanning, warnings_of
from bench.readings import conditions_since, peak_memory_bytes, readings, thread_placements
from compressor.base.bounds import memory_bytes


def conditions(before: Readings, after: Readings, peak: int | None = None) -> Conditions:
    return Conditions(
        before=before, after=after, affinity="0-1", usable_cores=2, peak_memory_bytes=peak, git_commit=None
    )


def test_what_is_read_here_is_plausible() -> None:
    before = readings()
    held = bytearray(64 * 2**20)
    found = conditions_since(before)
    assert found.before == before
    assert float(found.after["uptime_s"]) >= float(before["uptime_s"])
    assert 1 <= found.usable_cores <= (os.cpu_count() or 1)
    assert found.peak_memory_bytes is not None
    assert found.peak_memory_bytes > len(held)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_the_peak_is_at_least_what_is_held_now() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    peak = peak_memory_bytes()
    assert peak is not None
    assert pages * os.sysconf("SC_PAGE_SIZE") * 0.9 <= peak < memory_bytes()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads Linux's /proc")
def test_threads_are_placed_where_the_process_may_run() -> None:
    here = conditions_since({}).affinity
    assert here
    assert here in thread_placements().values()


def test_the_commit_is_that_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert conditions_since({}).git_commit is None
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert conditions_since({}).git_commit is None  # nothing is checked out yet
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert conditions_since({}).git_commit == head.strip()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert conditions_since({}).git_commit is None


def test_counters_are_read_where_linux_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "proc/cpuinfo": "cpu MHz\t\t: 2400.5\nflags : x\ncpu MHz\t\t: 3100.0\n",
        "proc/stat": "cpu  1 2 3 4 5 6 7 50 9 10\ncpu0 1\n",
        "proc/self/cgroup": "0::/job\n",
        "cgroup/job/cpu.stat": "usage_usec 5\nnr_throttled 3\nthrottled_usec 4500\n",
        "cpus/cpu0/thermal_throttle/core_throttle_count": "2\n",
        "cpus/cpu1/thermal_throttle/core_throttle_count": "5\n",
        "cpus/cpu0/cpufreq/scaling_governor": "powersave\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(module, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(module, "_CPUS", tmp_path / "cpus")
    monkeypatch.setattr(module, "_CGROUPS", tmp_path / "cgroup")
    found = readings()
    assert found["cpu_mhz"] == "2400.5 3100.0"
    assert (found["governor"], found["heat_throttled_count"]) == ("powersave", "7")
    assert found["quota_throttled_ms"] == "4.5"
    assert float(found["stolen_ms"]) == pytest.approx(50 * 1e3 / os.sysconf("SC_CLK_TCK"))


def test_nothing_is_said_of_a_machine_that_held_still() -> None:
    still = {"uptime_s": "1", "cpu_mhz": "3000 3000", "quota_throttled_ms": "5", "stolen_ms": "10"}
    assert warnings_of(conditions(still, {**still, "uptime_s": "9"})) == ()
    assert warnings_of(conditions({}, {})) == ()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"heat_throttled_count": "2"}, {"heat_throttled_count": "9"}, "heat throttled the CPU 7 times"),
        ({"quota_throttled_ms": "1.0"}, {"quota_throttled_ms": "81.0"}, "held the process up for 80 ms"),
        ({"cpu_mhz": "3000 3000"}, {"cpu_mhz": "2000 2500"}, "clocks fell from 3000 to 2250 MHz"),
        (
            {"uptime_s": "0", "stolen_ms": "0"},
            {"uptime_s": "1", "stolen_ms": str(100 * (os.cpu_count() or 1))},
            "took 10% of its CPU time",
        ),
        (
            {},
            {"gpu0_clocks_throttle_reasons_active": "0x1"},
            "",
        ),
        (
            {},
            {"gpu1_clocks_throttle_reasons_active": "0x0000000000000044"},
            "gpu1 held its clocks back at the end: power cap, heat (hardware)",
        ),
    ],
)
def test_what_slowed_a_measurement_down_is_said(before: Readings, after: Readings, words: str) -> None:
    assert words in " ".join(warnings_of(conditions(before, after)))
    assert bool(words) == bool(warnings_of(conditions(before, after)))


def test_several_runtimes_span_from_the_first_to_the_last() -> None:
    joined = spanning([conditions({"a": "1"}, {"a": "2"}, 7), conditions({"a": "3"}, {"a": "4"}, 5)])
    assert joined == conditions({"a": "1"}, {"a": "4"}, 7)
    assert spanning([]) is None
