"""`make eval`: how well Footnote's search finds, through its own HTTP API, beside plain baselines on the same texts."""
