"""Measurements: pipeline, search, answers, extraction."""
