"""The whole chain from one file: prune, fine-tune, score, export; stage by stage, resumable.

``settings`` says what a file may hold, ``files`` reads and writes it, ``stages`` lists what there is to do,
``actions`` does it with the functions of the single commands (``cut`` prunes, ``models`` opens and scores),
``record`` remembers what is done, and ``chain`` goes through it all.
"""
