"""What one sample of a dataset family is: its plan (pure, from the seed) and how it is made from its row."""
