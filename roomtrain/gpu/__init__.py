"""What a GPU must show: each item in a process of its own, with a limit of its own, all results in one JSON file."""
