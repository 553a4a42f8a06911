"""Damage to every kind of file that the product reads; `bench.studies.fuzz.trials` says how and why.

``python -m bench.studies.fuzz.run --minutes 5 --seed 1``
"""

import sys

import torch

from bench.studies.fuzz.kinds import KINDS
from bench.studies.fuzz.trials import main

if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(KINDS))
