"""PDF, with text recognition for scanned pages."""
