"""Tenants: who may do what, how much, and who did what."""
