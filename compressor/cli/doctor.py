"""``compress doctor``: what is installed, what works, and how to get the rest."""

from compressor.cli.options import JsonOpt


def doctor(json: JsonOpt = False) -> None:
    """Check every backend on every device by asking it to run; say why one does not work.

    Examples: compress doctor; compress doctor --json
    """
    from bench.environment import environment
    from compressor.cli import output
    from export.backends import BACKENDS

    found = environment()
    checks = [
        (name, device, BACKENDS.get(name).missing(device)) for name in BACKENDS for device in ("cpu", "cuda")
    ]
    if json:
        backends = [
            {"backend": n, "device": d, "usable": why is None, "missing": why} for n, d, why in checks
        ]
        output.print_json({"environment": found, "backends": backends})
        return
    output.show(
        output.table(("", "value"), list(found.items())),
        output.table(("backend", "device", "state"), [(n, d, why or "works") for n, d, why in checks]),
    )
