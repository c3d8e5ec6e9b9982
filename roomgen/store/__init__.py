"""Datasets on disk: shards, the manifest over them, opening, checking and describing them."""
