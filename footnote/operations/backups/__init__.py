"""Backups: taken of the running database and its objects, followed by the write-ahead log, restored and checked.

A folder of backups has one folder for each, complete in itself, and below `wal/` what was written since.
"""
