"""A finished run as a folder for others: ``folder`` writes and reads it, ``card`` describes it, ``onnx`` makes its graph.

``markup`` is what makes any text safe in Markdown and YAML.
"""
