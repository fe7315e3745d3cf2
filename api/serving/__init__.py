"""The server process: connections, several processes, draining."""
