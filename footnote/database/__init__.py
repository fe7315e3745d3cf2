"""Postgres and Redis: connections, the queue for connections, the clock, ids, leases, and the tenant scope."""
