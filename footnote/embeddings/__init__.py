"""Vectors by text, their indexes, and the vector length of each model."""
