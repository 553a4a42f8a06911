"""Tables of what layers take on a runtime, width by width, and the price that a network has by them.

A layer is known by its *signature*: what it does, where, and on how many positions, its widths left out. For
each signature a grid of widths is measured on the target, once, and kept (`bench.layers.cache`). A model's
price is its dense time, node by node, each scaled by its own table (`bench.layers.price`).
"""
