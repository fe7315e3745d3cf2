"""Tasks of an operator: setting up, checking consistency, backups, diagnosis, deleting a tenant."""
