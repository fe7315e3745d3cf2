"""Tenants: their keys, tokens, quotas, usage, rate limits and audit log."""
