"""Requests to addresses that clients choose, and to the OIDC issuer."""
