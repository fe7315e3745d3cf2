"""Alembic migrations; `footnote migrate` runs them."""

# The newest revision of the last release: from here on every upgrade must keep what users stored.
RELEASED = "0030"
