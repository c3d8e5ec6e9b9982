"""Commands of the command line: parsing, printing and exit codes."""
