"""The papers: data → model → loss → evaluation of each."""
