"""What README and docs show of trained runs is what works."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[2]


def block(file: str, *, having: str) -> str:
    (code,) = (
        code
        for code in re.findall(r"```python\n(.*?)```", (ROOT / file).read_text(encoding="utf-8"), flags=re.DOTALL)
        if having in code
    )
    return str(code)


def test_loading_a_run(trained: Path) -> None:
    code = block("README.md", having="roomtrain.load").replace("runs/one", str(trained))
    audio = np.random.default_rng(0).standard_normal(48_000)
    names = {"audio": audio, "fs_hz": 16_000}
    exec(compile(code, "README.md", "exec"), names)
    model = names["model"]
    assert set(model.estimate(audio, 16_000)) == {"rt60", "rt60_mid", "c50", "volume"}  # type: ignore[attr-defined]
    assert model.embed(audio, 16_000).shape == (64,)  # type: ignore[attr-defined]


def test_predictions_by_pandas(trained: Path) -> None:
    code = block("docs/training.md", having="predictions.parquet").replace("runs/all/soft-0.1-seed0", str(trained))
    names: dict[str, pd.DataFrame] = {}
    exec(compile(code, "training.md", "exec"), names)
    assert len(names["clean"]) == 2 * 32
