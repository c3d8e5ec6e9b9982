"""Measurements of speed and accuracy, each against a peer in the same run."""
