"""Measurements of speed and accuracy, each against a peer in the same run.

Every module that :data:`roomgen.bench.suite.BENCHMARKS` names has the same two parts: ``run(effort)`` measures and returns plain
numbers, ``text(result)`` prints them for people. What they share: :mod:`~roomgen.bench.scenes` (which rooms),
:mod:`~roomgen.bench.peer` (the same through pyroomacoustics), :mod:`~roomgen.bench.brute_force` (the same in float64),
:mod:`~roomgen.bench.timing` (how times are taken) and :mod:`~roomgen.bench.process` (memory and times of whole programs).
"""
