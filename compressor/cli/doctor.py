"""``compress doctor``: what is installed, what works, and how to get the rest."""

from compressor.cli.options import JsonOpt


def doctor(json: JsonOpt = False) -> None:
    """Run one layer on every backend and device; say which work, why the others do not, what to install.

    Examples: compress doctor; compress doctor --json
    """
    from compressor.cli.doctor_run import run

    run(json=json)
