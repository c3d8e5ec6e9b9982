"""Where the work of a dataset runs."""
