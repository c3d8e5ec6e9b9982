"""Physics: arrays in, arrays out; no files, no global state."""
