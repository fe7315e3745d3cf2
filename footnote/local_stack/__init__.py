"""Everything behind `footnote up`: embedded Postgres and Valkey, and the supervisor over all processes."""

from footnote.local_stack.postgres import running_postgres
from footnote.local_stack.stack import up
from footnote.local_stack.valkey import running_valkey

__all__ = ["running_postgres", "running_valkey", "up"]
