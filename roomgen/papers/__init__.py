"""The datasets of the five papers, each by one command."""
