"""The model card: what the networks of an export estimate and from what, the numbers beside the constant answer's, and limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from roomtrain.export.markup import as_table, as_yaml, escaped
from roomtrain.paper import Paper
from roomtrain.targets import TITLES, Target

_LOWER_IS_BETTER = ("rmse", "error")
_IN_UNIT = ("rmse", "bias", "error", "mean")
_LEVELLED = "levelled"
_SNR = re.compile(r"-?[0-9.]+ dB")


def card(
    paper: Paper,
    results: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    license_id: str,
    onnx: Mapping[str, float] | None,
) -> str:
    """Return the text of ``README.md``: YAML for the Hub, then Markdown.

    Args:
        results: ``results.json`` of the run.
        config: ``config.json`` of the export.
        onnx: by output, how far the ONNX graph is from torch; None: there is none.
    """
    targets = [replace(paper.target(one["name"]), classes=tuple(one["classes"])) for one in config["targets"]]
    measured: Mapping[str, Any] = results["protocols"].get(config["protocol"], {})
    sections = {
        "What it estimates": _what(config, targets),
        "How well": _how_well(paper, config, targets, measured),
        "What it learned from": _learned(results),
        "Limits": _limits(paper, results, config, targets, measured),
        "How to use it": _use(config, targets, onnx),
        "Citation": f"{escaped(paper.title)}. The weights are of a reproduction, not the authors' own.",
    }
    text = "\n\n".join(f"## {title}\n\n{body}" for title, body in sections.items())
    head = as_yaml(_front_matter(paper, results, config, targets, measured, license_id))
    return f"---\n{head}\n---\n\n# {escaped(config['cell'])} of {paper.name}\n\n{_opening(results, config)}\n\n{text}\n"


def _front_matter(
    paper: Paper,
    results: Mapping[str, Any],
    config: Mapping[str, Any],
    targets: Sequence[Target],
    measured: Mapping[str, Any],
    license_id: str,
) -> dict[str, Any]:
    # The Hub has no task of estimating numbers from audio; what gives an embedding is one that extracts features.
    task = "audio-classification" if all(t.kind == "class" for t in targets) else "feature-extraction"
    reduced = f", reduced: {results['reduced']}" if results["reduced"] else ""
    rows: list[dict[str, Any]] = []
    for target in targets:
        values = measured.get(target.name, {})
        metrics = [
            {"type": metric, "value": values[metric], "name": _title(target, metric, share=True)}
            for metric in target.metrics
            if values.get(metric) is not None
        ]
        if metrics:
            dataset = {
                "type": f"roomgen-{paper.name}",
                "name": f"roomgen paper {paper.name}{reduced}",
                "config": config["protocol"],
                "split": "test",
            }
            rows.append({"task": {"type": task, "name": target.title or target.name}, "dataset": dataset, "metrics": metrics})
    front: dict[str, Any] = {
        "license": license_id,
        "library_name": "roomtrain",
        "pipeline_tag": task,
        "tags": list(dict.fromkeys(["audio", "speech", "room-acoustics", paper.name, *(t.name for t in targets)])),
    }
    if rows:
        front["metrics"] = list(dict.fromkeys(metric["type"] for row in rows for metric in row["metrics"]))
        front["model-index"] = [{"name": f"{paper.name}-{config['cell']}", "results": rows}]
    return front


def _opening(results: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    cell, protocol = escaped(config["cell"]), escaped(config["protocol"])
    text = f"The networks of the cell {cell} of {escaped(config['title'])}, trained by roomtrain. Heads of the protocol {protocol}."
    warnings = []
    if results["reduced"]:
        warnings.append(f"**Trained with less than the paper's means:** {escaped(results['reduced'])}.")
    warnings += [f"**Data:** {escaped(note)}" for note in dict.fromkeys(_notes(results))]
    return "\n>\n".join([text + "\n", *(f"> {line}" for line in warnings)]).replace("\n\n>\n", "\n\n") if warnings else text


def _notes(results: Mapping[str, Any]) -> Iterator[str]:
    for part in results["data"].values():
        if isinstance(part, Mapping) and part.get("note"):
            yield str(part["note"])


def _what(config: Mapping[str, Any], targets: Sequence[Target]) -> str:
    rows = []
    for target in targets:
        title = escaped(target.title or target.name)
        if target.kind == "class":
            values = "class: " + ", ".join(escaped(name) for name in target.classes)
        elif target.kind == "angle":
            values = "direction in degrees, 360 is 0"
        else:
            values = f"number{f' in {escaped(target.unit)}' if target.unit else ''}{', never below 0' if target.positive else ''}"
        rows.append([f"`{target.name}`", title, values])
    audio = (
        f"From {config['segment_s']:g} s of audio, one channel at {config['fs_hz']} Hz ({config['n_samples']} samples), "
        f"the networks make an embedding of {config['embedding']} numbers, and from that:"
    )
    return f"{audio}\n\n{as_table(['output', 'what', 'values'], rows)}"


def _how_well(paper: Paper, config: Mapping[str, Any], targets: Sequence[Target], measured: Mapping[str, Any]) -> str:
    protocol = config["protocol"]
    meaning = f"Protocol {escaped(protocol)}: {escaped(paper.protocols.get(protocol, ''))}."
    rows = []
    for target in targets:
        values = measured.get(target.name, {})
        for metric in target.metrics if values else ():
            low, high = values["interval"].get(metric) or (None, None)
            ends = "—" if low is None or high is None else f"{target.text(metric, low)} to {target.text(metric, high)}"
            constant = target.text(metric, (values.get("baseline") or {}).get(metric))
            size = f"{values['n']} in {values['groups']}"
            rows.append([f"`{target.name}`", _title(target, metric), target.text(metric, values[metric]), ends, constant, size])
    if not rows:
        return f"{meaning} The run has no results of it."
    head = ["output", "metric", "test", "95 % interval", "best constant answer", "samples in groups"]
    parts = [
        f"{meaning} Intervals are of a bootstrap over the groups of test samples, such as rooms; the best constant answer is one "
        "for all samples, chosen on the training data.",
        as_table(head, rows),
        *_by_condition(targets, measured),
        *_by_range(paper, targets, measured),
    ]
    return "\n\n".join(parts)


def _by_condition(targets: Sequence[Target], measured: Mapping[str, Any]) -> Iterator[str]:
    names = list(dict.fromkeys(name for values in measured.values() for name in values.get("conditions", {})))
    rows = []
    for target in targets:
        values = measured.get(target.name)
        if values and values.get("conditions"):
            first = next(iter(target.metrics))
            found = [target.text(first, values["conditions"].get(name, {}).get(first)) for name in names]
            rows.append([f"`{target.name}`", _title(target, first), target.text(first, values[first]), *found])
    if rows:
        titles = [f"noise at {name}" if _SNR.fullmatch(name) else escaped(name) for name in names]
        yield "The same test under other conditions:"
        yield as_table(["output", "metric", "as it is", *titles], rows)


def _by_range(paper: Paper, targets: Sequence[Target], measured: Mapping[str, Any]) -> Iterator[str]:
    over = paper.target(paper.breakdown.target) if paper.breakdown is not None else None
    if over is None:
        return
    edges: dict[tuple[float, float], dict[str, Any]] = {}
    for target in targets:
        for row in measured.get(target.name, {}).get("by", {}).get(over.name, []):
            edges.setdefault((row["low"], row["high"]), {})[target.name] = row
    if not edges:
        return
    firsts = [(target, next(iter(target.metrics))) for target in targets if target.name in measured]
    rows = []
    for (low, high), by in sorted(edges.items()):
        shown = [target.text(first, by.get(target.name, {}).get(first)) for target, first in firsts]
        rows.append([f"{low:g} to {high:g}", str(max(row["n"] for row in by.values())), *shown])
    title = f"{escaped(over.title or over.name)}{f' in {escaped(over.unit)}' if over.unit else ''}"
    yield f"By the true {title}:"
    yield as_table([title, "samples", *(f"`{target.name}`: {_title(target, first)}" for target, first in firsts)], rows)


def _learned(results: Mapping[str, Any]) -> str:
    rows = []
    for name, part in results["data"].items():
        if isinstance(part, Mapping):
            note, sha256 = part.get("note", ""), escaped(part.get("sha256", ""))
            rows.append([escaped(name), str(part.get("samples", "")), f"`{sha256}`", escaped(note)])
    made = f"version {escaped(results.get('version'))}"
    if results.get("commit"):
        made += f", commit `{escaped(results['commit'])}`"
    torch = escaped((results.get("versions") or {}).get("torch", "unknown"))
    text = (
        f"Trained by roomtrain {made}, with torch {torch}, preset {escaped(results['preset'])}, seed {results['seed']}, precision "
        f"{escaped(results['precision'])}. The settings are in `config.json`; their hash is `{escaped(results['settings_hash'])}`."
    )
    return f"{as_table(['data', 'samples', 'sha256', 'note'], rows)}\n\n{text}"


def _limits(
    paper: Paper,
    results: Mapping[str, Any],
    config: Mapping[str, Any],
    targets: Sequence[Target],
    measured: Mapping[str, Any],
) -> str:
    seconds = f"{config['segment_s']:g} s"
    lines = [
        f"It hears {seconds} at a time. Of a longer recording the estimates are means over its windows; a shorter one is repeated "
        f"until it fills one. Nothing above {config['fs_hz'] / 2000:g} kHz is heard, and channels are averaged.",
        "The level of a recording is not used: made louder or quieter it gives the same."
        if config["any_level"]
        else "The level of a recording is part of what is heard: made louder or quieter it can give something else.",
    ]
    conditions = {name for values in measured.values() for name in values.get("conditions", {})}
    if _LEVELLED in conditions:
        lines[-1] += f" In the test as it is, the level is that of the simulation; the numbers under {_LEVELLED} are without it."
    if "rooms" in paper.parts.values():
        lines.append("The rooms of training and test are simulated: measured rooms may be harder.")
    for one, target in zip(config["targets"], targets, strict=True):
        if one.get("tested"):
            lines.append(_tested(target, one["tested"]))
    poor = [_no_better(target, measured[target.name]) for target in targets if target.name in measured]
    lines += [line for line in poor if line]
    if not any(_SNR.fullmatch(name) for name in conditions):
        lines.append("It was not tested with noise.")
    if results["reduced"]:
        lines.append(f"The training was reduced ({escaped(results['reduced'])}): the paper's numbers are not to be expected.")
    if any(_notes(results)):
        lines.append("Some of the data stand in for others (see the notes above): recordings may differ from what was heard.")
    return "\n".join(f"- {line}" for line in lines)


def _tested(target: Target, tested: Sequence[float]) -> str:
    title = escaped(target.title or target.name)
    if target.kind == "class":
        shares = ", ".join(f"{n:g} {escaped(name)}" for n, name in zip(tested, target.classes, strict=False))
        return f"{title}: test samples of each class: {shares}."
    low, high = tested
    unit = escaped(target.unit or ("°" if target.kind == "angle" else ""))
    return f"{title}: test samples lie between {low:.3g} and {high:.3g} {unit}".rstrip() + ". Beyond that nothing was tested."


def _no_better(target: Target, values: Mapping[str, Any]) -> str:
    """Say so where the first metric is no better than that of the constant answer, or cannot be told from it."""
    metric = next(iter(target.metrics))
    found, constant = values.get(metric), (values.get("baseline") or {}).get(metric)
    if found is None or constant is None:
        return ""
    title = escaped(target.title or target.name)
    if found >= constant if metric in _LOWER_IS_BETTER else found <= constant:
        return f"{title}: in the test no better than the best constant answer."
    low, high = values["interval"].get(metric) or (None, None)
    if low is not None and high is not None and low <= constant <= high:
        return f"{title}: the test does not tell it from the best constant answer, which lies within the interval."
    return ""


def _use(config: Mapping[str, Any], targets: Sequence[Target], onnx: Mapping[str, float] | None) -> str:
    first = targets[0].name if targets else "rt60"
    text = f"""With roomtrain (`pip install 'roomgen[train]'`), audio of any rate and length:

```python
import roomtrain
import soundfile

model = roomtrain.load("FOLDER")  # where these files are
audio, fs_hz = soundfile.read("recording.wav", always_2d=True)
model.estimate(audio.T, fs_hz)  # {{"{first}": …}}; of two classes the probability of the second
model.embed(audio.T, fs_hz)  # ({config["embedding"]},)
```"""
    if onnx is None:
        return text
    level = " of any level" if config["any_level"] else ""
    names = ["embedding", *(target.name for target in targets)]
    return f"""{text}

Without roomtrain, `model.onnx` (opset {config["onnx"]["opset"]}) takes windows at {config["fs_hz"]} Hz{level}, and gives the
embedding, numbers, and the probabilities of classes. It differed from torch by {max(onnx.values()):.1e} at most when it was made.

```python
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
{", ".join(names)} = session.run(None, {{"audio": windows}})  # float32 (window, {config["n_samples"]})
```"""


def _title(target: Target, metric: str, *, share: bool = False) -> str:
    """Return what a metric is called, with its unit; ``share``: those in percent are given in 0…1."""
    title = TITLES.get(metric, metric)
    if target.kind == "class" or metric == "within_20":
        return title if share else f"{title} in %"
    unit = "°" if target.kind == "angle" else target.unit
    return f"{title} in {unit}" if unit and metric in _IN_UNIT else title
