"""What walls scatter: its energy over time, and the field that is made of it."""
