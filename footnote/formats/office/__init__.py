"""Word processing documents, presentations and spreadsheets, and their zip packages."""
