"""Channel tracing: run a model once, watch channel ids flow, and learn which channels live or die together.

The idea. Every axis of every parameter gets integer ids, one per position. The model runs once under a
dispatch mode. Beside each activation travels a *shadow*: integer tensors, broadcastable to the activation,
that say which id each value carries. A convolution hands the ids of its output axis to its result and unites
the ids of its input axis with those that arrive; an addition unites the ids of its operands; reshapes are
executed on the shadow itself. After union-find, one class of ids is one *unit*, and units that touch the same
axes form a :class:`~compressor.types.ChannelGroup`.
"""

from compressor.channels.graph import ChannelGraph
from compressor.channels.pad import ChannelPad
from compressor.channels.watch import trace

__all__ = ["ChannelGraph", "ChannelPad", "trace"]
