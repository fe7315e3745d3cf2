"""Alembic migrations; `footnote migrate` runs them."""
