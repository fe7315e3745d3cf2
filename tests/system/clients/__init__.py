"""Programs that exist already, run against the product."""
