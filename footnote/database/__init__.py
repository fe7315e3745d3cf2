"""Postgres and Redis: connections and the queue for them, time, identifiers, leases, the wall between tenants."""
