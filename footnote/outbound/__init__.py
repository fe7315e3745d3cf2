"""Requests to addresses that others choose."""
