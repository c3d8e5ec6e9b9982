"""The commands of the command line, a module for each group of nouns: parsing and progress, no logic."""
