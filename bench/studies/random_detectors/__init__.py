"""Whether detectors with random weights can be exported."""
