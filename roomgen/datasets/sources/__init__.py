"""Sources: dry recordings of a corpus, cut into segments."""
