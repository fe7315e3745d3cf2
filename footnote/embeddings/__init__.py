"""Stored vectors: by text, and how long those of a model are."""
