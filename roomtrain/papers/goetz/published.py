"""The paper's own numbers: Table 2, and of the untrained encoder section 4; shares in 0…1."""

from __future__ import annotations

from roomtrain.paper import Published

_TABLE_2: dict[str, dict[str, tuple[float, ...]]] = {
    "rt60": {
        "supervised": (0.2228, 0.9037, 0.0304),
        "untrained": (0.5056, 0.1993),
        "soft-0.01": (0.2699, 0.8496, 0.0344),
        "hard-0.01": (0.2369, 0.8870, 0.0322),
        "posind-0.01": (0.2146, 0.9089, 0.0296),
        "soft-0.1": (0.2345, 0.8878, 0.0027),
        "hard-0.1": (0.2426, 0.8787, 0.0069),
        "posind-0.1": (0.2217, 0.9048, 0.0028),
        "soft-1": (0.2500, 0.8768, 0.0450),
        "hard-1": (0.2770, 0.8399, -0.0043),
        "posind-1": (0.2284, 0.8937, 0.0220),
    },
    "c50": {
        "supervised": (1.9756, 0.9241, 1.0281),
        "soft-0.01": (1.7561, 0.9208, 0.3187),
        "hard-0.01": (2.0057, 0.9227, 0.9820),
        "posind-0.01": (2.2386, 0.8908, 1.0001),
        "soft-0.1": (1.8903, 0.9223, 0.4303),
        "hard-0.1": (2.0411, 0.9142, 0.8401),
        "posind-0.1": (2.0813, 0.9063, 0.8936),
        "soft-1": (1.7887, 0.9181, 0.3901),
        "hard-1": (2.0101, 0.9032, 0.7059),
        "posind-1": (2.3873, 0.8597, 0.7434),
    },
    "volume": {
        "supervised": (0.6895, 0.7066, 0.7016),
        "soft-0.01": (0.6953, 0.7146, 0.7103),
        "hard-0.01": (0.7070, 0.7252, 0.7199),
        "posind-0.01": (0.7422, 0.7320, 0.7328),
        "soft-0.1": (0.7129, 0.7241, 0.7165),
        "hard-0.1": (0.6797, 0.7014, 0.6992),
        "posind-0.1": (0.7305, 0.7586, 0.7602),
        "soft-1": (0.7109, 0.7376, 0.7383),
        "hard-1": (0.6758, 0.6943, 0.6905),
        "posind-1": (0.6836, 0.7024, 0.6984),
    },
}
"""Target → cell → its metrics, in the order of the target's kind."""

_METRICS = {"volume": ("accuracy", "precision", "recall")}

PUBLISHED = Published(
    source="Götz et al. (2023), Table 2",
    values={
        (cell, "sample", target, metric): value
        for target, cells in _TABLE_2.items()
        for cell, values in cells.items()
        for metric, value in zip(_METRICS.get(target, ("rmse", "corr", "bias")), values, strict=False)
    },
    columns=("soft", "hard", "posind"),
)
