"""How alike the filters of a layer are, after CORING (Pham et al., Enhanced Network Compression, 2024).

A filter is a tensor, and its direction in each mode says what it looks for; how strong it is does not count.
Three steps, each usable alone: :func:`factors` decomposes every filter, :func:`pairwise` compares the factors
of every two filters, :func:`saliency` turns that matrix into one score per filter.
"""

from compressor.criteria.coring.similarity.decompose import DECOMPOSERS, factors
from compressor.criteria.coring.similarity.metrics import METRICS, pairwise
from compressor.criteria.coring.similarity.strategies import STRATEGIES, saliency

__all__ = ["DECOMPOSERS", "METRICS", "STRATEGIES", "factors", "pairwise", "saliency"]
