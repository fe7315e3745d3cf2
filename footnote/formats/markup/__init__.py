"""Text with markup: HTML, Markdown, reStructuredText, EPUB, RTF."""
