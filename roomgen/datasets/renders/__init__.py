"""Renders: sources heard in rooms and through devices."""
