"""What an operator does: set up, check that nothing is lost, delete a tenant."""
