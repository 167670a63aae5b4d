"""The questions of each chapter, one module a chapter; every answer is worked out from a run."""
