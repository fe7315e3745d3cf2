"""Postgres and Redis: connections, time and identifiers, the wall between tenants, who waits for a connection."""
