"""A second paper, of one linear layer: what a paper must bring, and all that commands need."""
