"""A page that shows what was measured: from documents and artifacts to HTML, Markdown and CSV.

``kinds`` read results from outside into `facts`, which know nothing of documents; ``sections`` turn facts
into `content`, which knows nothing of formats; ``formats`` write content down, and ``plots`` draw in it. A
kind of result, and a section, is one file. No model is opened; artifacts alone make PyTorch load.
"""
