"""Microphones: frequency responses by design and by measurement, whole recorders, and what compresses."""
