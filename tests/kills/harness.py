"""Runs commands as forks of one process that has imported everything: sixty runs cost sixty forks.

Reads one job per line, prints the process number of each, and its exit status when it has ended.
"""

import json
import os
import sys
import tempfile
from typing import Any

import torch

import compressor.cli.export_run
import compressor.cli.finetune_run
import compressor.cli.inspect_run
import compressor.cli.prune_run
import compressor.cli.run_run  # noqa: F401
from compressor.cli import main


def child(job: dict[str, Any]) -> None:
    os.chdir(job["cwd"])
    os.environ["TMPDIR"] = tempfile.tempdir = job["temporary"]
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["compress", *job["words"]]
    try:
        main()
    except SystemExit as end:
        os._exit(int(end.code or 0))
    os._exit(99)


torch.set_num_threads(1)
print("ready", flush=True)
for line in sys.stdin:
    process = os.fork()
    if process == 0:
        child(json.loads(line))
    print(process, flush=True)
    print(os.waitpid(process, 0)[1], flush=True)
