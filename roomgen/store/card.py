"""The dataset card: README.md with YAML that names the tars, so that a Hub viewer opens the folder as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from roomgen.datasets.columns import ROOMS, describe


def card(info: Mapping[str, Any]) -> str:
    """Return the text of the card from what ``dataset.json`` says."""
    settings, totals = info["settings"], info["totals"]
    files = "".join(f"  - split: {split}\n    path: data/{split}-*.tar\n" for split in totals["splits"])
    rows = "".join(f"| {split} | {count} |\n" for split, count in totals["splits"].items())
    tail = settings["engine"]["tail_after_s"]
    exact = (
        "Image sources are exact over the whole response."
        if tail is None
        else f"Image sources are exact up to {tail:g} s; later sound is noise under the predicted decay of each octave band."
    )
    return f"""---
configs:
- config_name: default
  data_files:
{files}tags:
- audio
- room-acoustics
- room-impulse-response
- webdataset
size_categories:
- {_size_category(totals["rirs"])}
---

# Simulated room impulse responses (preset `{settings["preset"]}`)

{totals["rirs"]} responses in {totals["rooms"]} shoebox rooms, {totals["audio_s"] / 3600:.2f} hours at
{settings["signal"]["fs_hz"]} Hz, written by roomgen {info["roomgen_version"]} with seed {settings["seed"]}. {exact}

| split | samples |
|---|---|
{rows}
Splits are by {settings["splits"]["by"]}. RT60 {_range(totals["rt60_s"], "s")}, C50 {_range(totals["c50_db"], "dB")}, volume
{_range(totals["volume_m3"], "m³")}.

## Files

- `manifest.parquet`: one row per sample, columns below. `data/*.parquet` hold the same rows shard by shard.
- `data/*.tar`: WebDataset; `KEY.rir.wav` (float32, Pa per unit source: sample 0 is the instant of emission, a point source has
  the pressure 1/(4πr)) and `KEY.json` (all labels; what cannot be measured is `NaN`, as Python's json writes it).
- `dataset.json`: every setting, the seed, and the sha256 of each shard. The same settings give the same bytes again.

```python
import pandas as pd
rooms = pd.read_parquet("manifest.parquet")
rooms[(rooms.split == "train") & (rooms.rt60_s < 0.5)][["key", "rt60_s", "c50_db", "volume_m3"]]
```

## Columns

{describe(ROOMS)}
"""


def _range(spread: Mapping[str, Any], unit: str) -> str:
    if spread["median"] is None:
        return "not measurable"
    return f"{spread['min']:.3g} to {spread['max']:.3g} {unit} (median {spread['median']:.3g})"


def _size_category(count: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if count < limit:
            return name
    return "n>1M"
