"""The one way through: stages that prune, train, score and export, gone through in memory or in a run folder.

``settings`` says what a recipe file may hold and ``files`` reads it; ``stages`` lists what there is to do,
``work`` does it, one file per kind, on what ``job`` shares; ``memory`` goes through a chain at once, and
``folder`` in a run folder that can be continued, which ``record`` describes.
"""
