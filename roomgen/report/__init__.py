"""Pictures of what is in a dataset."""
