"""Stored vectors, by text, and the lengths of the vectors of each model."""
