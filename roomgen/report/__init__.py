"""What a dataset holds, for people: lines of text and pictures."""
