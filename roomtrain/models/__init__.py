"""The papers' models, one module a paper."""
