"""Sections of ``bench/README.md``, one file per study: from the study's JSON to Markdown."""
