"""The implementation of `footnote up`: embedded Postgres and Valkey, and the supervisor over all processes."""
