"""Word processors, slides and spreadsheets, and the packages they come in."""
