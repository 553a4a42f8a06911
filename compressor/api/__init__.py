"""The program from Python: what the command line calls, on the one value that moves.

``import compressor`` offers these names without importing torch; strings that name models are what the
command line takes: a name, ``package.module:factory``, or an artifact folder. Factories that are named in a
call are trusted, those that only an artifact names are not: ``trust=Trust.of([...])``.
"""

from compressor.api.measure import bench
from compressor.api.models import Model, deploy, evaluate, fine_tune, load, prune, repair

__all__ = ["Model", "bench", "deploy", "evaluate", "fine_tune", "load", "prune", "repair"]
