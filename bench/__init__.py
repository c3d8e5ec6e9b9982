"""Measurements of speed and accuracy, each against a peer in the same run.

Every module that :data:`bench.suite.BENCHMARKS` names has the same two parts: ``run(effort)`` measures and returns plain
numbers, ``text(result)`` prints them for people. What they share: :mod:`~bench.scenes` (which rooms),
:mod:`~bench.peer` (the same through pyroomacoustics), :mod:`~bench.brute_force` (the same in float64),
:mod:`~bench.timing` (how times are taken) and :mod:`~bench.process` (memory and times of whole programs).
"""
