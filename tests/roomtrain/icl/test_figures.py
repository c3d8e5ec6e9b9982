"""The paper's figures: what is drawn of results, of runs and of data, and what is left out where there is nothing to draw."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

import roomgen
from roomtrain import figures
from roomtrain.claims import claim
from roomtrain.compare import compare_cells
from roomtrain.datasets import fingerprint
from roomtrain.errors import RoomtrainError
from roomtrain.paper import get_paper
from roomtrain.papers.icl import figures as drawings
from roomtrain.papers.icl import response_figures, run_figures
from roomtrain.papers.icl.looks import LOOKS
from roomtrain.papers.icl.published import DEVICES, PUBLISHED, REAL, SIMULATED, UNSEEN
from roomtrain.plans import settings_of
from roomtrain.predictions import CLEAN, CONSTANT, PREDICTIONS, Answers, prediction_table, read_predictions, write_predictions
from roomtrain.results import describe, measure, results_in, write_results
from roomtrain.table import table

PAPER = get_paper("icl")
SCENES = ("bus", "metro_station", "park")
N, GROUPS = 24, 6
MANY = {f"many-{n}": {"augment.responses": "many", "augment.microphones": n} for n in (3, 30)}
NOTE = "These are stand-ins."
TABLES = ["log-loss", "search", "probe", "microphones"]
OF_RUNS = ["differences", "confusions"]
OF_DATA = ["responses", "responses-by-angle"]


def finish(root: Path, cell: str, seed: int) -> Path:
    """A finished run whose answers are drawn by chance, other ones for each cell and seed."""
    overrides = MANY.get(cell) or next(c.overrides for c in PAPER.cells() if c.name == cell)
    settings = settings_of(PAPER, "smoke", {**overrides, "seed": seed}).model_copy(update={"classes": SCENES})
    random = np.random.default_rng([seed, *cell.encode()])
    keys, groups = np.arange(N).astype(str), np.repeat(np.arange(GROUPS), N // GROUPS).astype(str)
    truth, answers = np.arange(N) % len(SCENES), []
    for device in DEVICES:
        answers.append(Answers(device, "log_loss", keys, groups, None, random.exponential(size=N)))
        answers.append(Answers(device, "scene", keys, groups, truth, random.integers(len(SCENES), size=N)))
    known = len(REAL) + len(SIMULATED)
    device, heard = np.repeat(np.arange(known), N), np.tile(groups, known)
    of_device = np.char.add(np.tile(keys, known), device.astype(str))
    for estimate, condition in ((random.integers(known, size=len(device)), CLEAN), (np.zeros(len(device)), CONSTANT)):
        answers.append(Answers("probe", "device", of_device, heard, device, estimate, condition))
    found = prediction_table(cell, answers)
    run, data = root / f"{cell}-seed{seed}", {"scenes-by-device": {"note": NOTE}}
    claim(run, settings, cell=cell, data=data, root=root)
    write_predictions(run / PREDICTIONS, found)
    described = {**describe(PAPER, settings, cell), "data": data, "device": "cpu"}
    write_results(run / "results.json", {**described, "protocols": measure(PAPER, found, resamples=20)})
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of three rows, one seed of the search and of many microphones. Read only."""
    root = tmp_path_factory.mktemp("runs")
    for cell in ("baseline", "icl", "icl-multi"):
        for seed in (0, 1):
            finish(root, cell, seed)
    for cell in ("multi", "alpha-0", "alpha-0.4", "lambda-0.1", "lambda-6", *MANY):
        finish(root, cell, 0)
    return root


@pytest.fixture(scope="module")
def results(runs: Path) -> list[dict[str, Any]]:
    return results_in([runs], PAPER)


@pytest.fixture(scope="module")
def values(results: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = table(PAPER, results)["cells"]
    return found


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The figures that are saved, by the names of their files."""
    saved: dict[str, Any] = {}

    def keep(figure: Any, path: Path) -> Path:
        saved[path.stem] = figure
        return path

    monkeypatch.setattr(figures, "save", keep)
    return saved


def folders(runs: Path) -> list[Path]:
    return sorted(path.parent for path in runs.rglob("settings.json"))


def points(axis: Any, cell: str) -> tuple[Any, Any, Any]:
    """The (x, y) of a row in an axis: seeds, our means, and the paper's numbers, each by x."""
    look = LOOKS[cell]
    lines = [line for line in axis.lines if line.get_color() == look["color"]]
    marked = [line for line in lines if line.get_marker() == look["marker"]]
    sets = (
        [line for line in lines if line.get_marker() == "."],
        [line for line in marked if line.get_markerfacecolor() != "white"],
        [line for line in marked if line.get_markerfacecolor() == "white"],
    )
    seeds, ours, theirs = (np.concatenate([np.zeros((0, 2)), *(line.get_xydata() for line in found)]) for found in sets)
    return seeds, ours, theirs


def bars(axis: Any) -> Any:
    """The ends of all bars, (bar, 2), each with its x and y."""
    return np.array([path.vertices for lines in axis.collections for path in lines.get_paths()])


def texts(figure: Any) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_results_and_runs_are_drawn_without_torch(runs: Path, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from roomtrain.paper import get_paper; from roomtrain.results import results_in\n"
        f"runs, out = pathlib.Path({str(runs)!r}), pathlib.Path({str(tmp_path)!r}); paper = get_paper('icl')\n"
        "found = sorted(path.parent for path in runs.rglob('settings.json'))\n"
        "drawn = paper.figures(results_in([runs], paper), out, data=None, runs=found)\n"
        "print(*(path.stem for path in drawn)); assert not {'torch', 'umap'} & set(sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300)
    assert said.stdout.split() == [*TABLES, *OF_RUNS]
    for name in said.stdout.split():
        picture = matplotlib.image.imread(tmp_path / f"{name}.png")
        assert picture[..., :3].std() > 0.02  # not an empty page
        assert picture.shape[1] in (round(figures.PAGE_IN * 300), round(figures.COLUMN_IN * 300))
    for name in (*OF_DATA, "embeddings"):
        assert f"{name}.png: it needs" in said.stderr
        assert not (tmp_path / f"{name}.png").exists()


def test_log_loss_has_means_seeds_intervals_and_the_papers_numbers(
    results: list[dict[str, Any]], values: dict[str, Any], drawn: dict[str, Any]
) -> None:
    drawings.draw(PAPER, results, Path(), data=None, runs=[])
    by_device, by_family = drawn["log-loss"].axes
    pools = ["real", "simulated", "unseen", "overall"]
    for axis, protocols in ((by_device, list(DEVICES)), (by_family, pools)):
        for cell in ("baseline", "icl-multi"):
            seeds, ours, theirs = points(axis, cell)
            found = [values[protocol]["log_loss"][cell]["mean"] for protocol in protocols]
            np.testing.assert_allclose(ours[:, 1], [one["mean"] for one in found])
            np.testing.assert_array_equal(ours[:, 0].round(), np.arange(len(protocols)))
            np.testing.assert_allclose(theirs[:, 1], [PUBLISHED.values[cell, p, "log_loss", "mean"] for p in protocols])
            np.testing.assert_allclose(seeds[:, 1], [value for one in found for value in one["seeds"].values()])
            assert (seeds[::2, 0] < ours[:, 0]).all()
            assert (ours[:, 0] < theirs[:, 0]).all()
    seeds, ours, _ = points(by_family, "multi")
    assert len(seeds) == 0  # one seed is its mean
    ends = [values[pool]["log_loss"]["multi"]["mean"]["interval"] for pool in pools]
    drawn_ends = [bar[:, 1] for x in ours[:, 0] for bar in bars(by_family) if np.allclose(bar[:, 0], x)]
    np.testing.assert_allclose(drawn_ends, ends)
    assert not by_device.collections  # no intervals of single devices
    assert len(points(by_family, "vintage")[1]) + len(points(by_family, "vintage")[2]) == 0  # there are no results of it
    assert len({(look["color"], look["marker"]) for look in LOOKS.values()}) == len({look["color"] for look in LOOKS.values()}) == 6


def test_reduced_settings_and_stand_ins_are_said_in_small_print(
    results: list[dict[str, Any]], runs: Path, drawn: dict[str, Any]
) -> None:
    drawings.draw(PAPER, results, Path(), data=None, runs=folders(runs))
    reduced = results[0]["reduced"]
    assert reduced
    assert sorted(drawn) == sorted([*TABLES, *OF_RUNS])
    for figure in drawn.values():
        assert reduced in texts(figure)
        assert texts(figure).count(NOTE) == 1


def test_differences_are_paired_with_the_baseline(runs: Path, drawn: dict[str, Any]) -> None:
    run_figures.draw_differences(PAPER, run_figures.finished(PAPER, folders(runs)), Path())
    (axis,) = drawn["differences"].axes
    seeds, ours, theirs = points(axis, "icl-multi")
    for number, devices in enumerate((REAL, SIMULATED, UNSEEN, DEVICES)):
        by_seed = []
        for seed in (0, 1):
            means = []
            for cell in ("baseline", "icl-multi"):
                answers = read_predictions(runs / f"{cell}-seed{seed}")
                mine = answers[answers["protocol"].isin(devices) & (answers["target"] == "log_loss")]
                means.append(mine["estimate"].mean())
            by_seed.append(means[1] - means[0])
        np.testing.assert_allclose(seeds[2 * number : 2 * number + 2, 1], by_seed)
        assert ours[number, 1] == pytest.approx(np.mean(by_seed))
    compared = compare_cells(runs, "baseline", "icl-multi")["protocols"]
    ends = [compared[pool]["log_loss"]["mean"]["interval"] for pool in ("real", "simulated", "unseen", "overall")]
    np.testing.assert_allclose([bar[:, 1] for x in ours[:, 0] for bar in bars(axis) if np.allclose(bar[:, 0], x)], ends)
    np.testing.assert_allclose(theirs[:, 1], [1.096 - 1.116, 1.367 - 1.396, 1.368 - 1.423, 1.156 - 1.181])  # Table 3
    assert len(points(axis, "baseline")[1]) == 0


def test_confusions_are_of_the_baseline_and_the_best_row(runs: Path, values: dict[str, Any], drawn: dict[str, Any]) -> None:
    run_figures.draw_confusions(PAPER, run_figures.finished(PAPER, folders(runs)), Path())
    losses = {cell: values["overall"]["log_loss"][cell]["mean"]["mean"] for cell in ("multi", "icl", "icl-multi")}
    best = min(losses, key=lambda cell: losses[cell])
    axes = drawn["confusions"].axes
    assert len(axes) == 4
    for axis, cell in ((axes[1], "baseline"), (axes[3], best)):
        right = 100 * values["unseen"]["scene"][cell]["accuracy"]["mean"]
        assert axis.get_title().endswith(f"unseen devices: {right:.1f} % right")
        np.testing.assert_allclose(axis.images[0].get_array().sum(axis=1), 100.0)
    assert [label.get_text() for label in axes[2].get_xticklabels()] == ["bus", "metro station", "park"]


def test_confusions_count_each_second_at_its_scene_and_answer() -> None:
    keys = np.arange(4).astype(str)
    told = [Answers("A", "scene", keys, keys, [0, 0, 0, 2], [0, 1, 1, 2]), Answers("S4", "scene", keys, keys, [0] * 4, [2] * 4)]
    told.append(Answers("A", "scene", keys, keys, [0] * 4, [2] * 4, CONSTANT))
    found = prediction_table("baseline", told)
    np.testing.assert_array_equal(run_figures.confusion([found, found], ["A", "B"], 3), [[2, 4, 0], [0, 0, 0], [0, 0, 2]])


def test_the_search_stands_over_its_threshold_and_its_weight(
    results: list[dict[str, Any]], values: dict[str, Any], drawn: dict[str, Any]
) -> None:
    drawings.draw(PAPER, results, Path(), data=None, runs=[])
    axes = drawn["search"].axes
    shown = {"alpha": {"alpha-0": 0.0, "alpha-0.4": 0.4}, "lambda": {"lambda-0.1": 0.1, "icl": 0.5, "lambda-6": 6.0}}
    theirs = {
        "log_loss": ([1.265, 1.270, 1.313, 1.331, 2.166], [1.139, 1.100, 1.113, 1.139, 1.183]),
        "scene": ([51.72, 51.28, 50.34, 49.02, 21.60], [56.87, 58.32, 58.52, 56.87, 56.30]),
    }  # Table 1
    for row, (target, metric, scale) in enumerate((("log_loss", "mean", 1), ("scene", "accuracy", 100))):
        for column, cells in enumerate(shown.values()):
            axis = axes[2 * row + column]
            dotted, ours = axis.lines[:2]
            assert (dotted.is_dashed(), ours.is_dashed()) == (True, False)
            np.testing.assert_allclose(dotted.get_ydata(), theirs[target][column])
            means = [scale * values["search"][target][cell][metric]["mean"] for cell in cells]
            np.testing.assert_allclose(ours.get_xydata(), np.stack([list(cells.values()), means], axis=1))
            level = scale * values["search"][target]["baseline"][metric]["mean"]
            assert any(np.allclose(line.get_ydata(), level) for line in axis.lines if line.get_color() == "black")
    assert [axis.get_xlabel() for axis in axes[2:]] == ["threshold α, at λ = 10", "weight λ, at α = 0.2"]


def test_the_probe_stands_beside_guessing(results: list[dict[str, Any]], values: dict[str, Any], drawn: dict[str, Any]) -> None:
    drawings.draw(PAPER, results, Path(), data=None, runs=[])
    (axis,) = drawn["probe"].axes
    _, ours, theirs = points(axis, "icl-multi")
    found = values["probe"]["device"]["icl-multi"]["accuracy"]
    np.testing.assert_allclose(ours[0, 0], 100 * found["mean"])
    np.testing.assert_allclose(theirs[0, 0], 17.53)  # Table 2
    row = [label.get_text() for label in axis.get_yticklabels()].index("+ ICL + multi DIRs")
    assert ours[0, 1] == theirs[0, 1] == row
    (ends,) = [bar[:, 0] for bar in bars(axis) if np.allclose(bar[:, 1], row)]
    np.testing.assert_allclose(ends, 100 * np.array(found["interval"]))
    (guessing,) = [line for line in axis.lines if line.get_color() == figures.GREY]
    np.testing.assert_allclose(guessing.get_xdata(), 100 / 6)
    assert "guessing: 16.7 %" in texts(drawn["probe"])


def test_more_microphones_stand_over_their_number(
    results: list[dict[str, Any]], values: dict[str, Any], drawn: dict[str, Any]
) -> None:
    drawings.draw(PAPER, results, Path(), data=None, runs=[])
    (axis,) = drawn["microphones"].axes
    unseen = {cell: one["mean"]["mean"] for cell, one in values["unseen"]["log_loss"].items()}
    (line,) = [line for line in axis.lines if line.get_color() == figures.COLOURS[5] and len(line.get_xdata()) == 2]
    np.testing.assert_allclose(line.get_xydata(), [(3, unseen["many-3"]), (30, unseen["many-30"])])
    for cell in ("baseline", "multi"):
        assert any(set(one.get_ydata()) == {unseen[cell]} for one in axis.lines if one.get_color() == LOOKS[cell]["color"])


def test_what_has_no_results_is_left_out_with_a_reason(
    results: list[dict[str, Any]], runs: Path, drawn: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = [json.loads(json.dumps(one)) for one in results if one["cell"] == "baseline"]
    for one in baseline:
        del one["protocols"]["probe"]
    drawings.draw(PAPER, baseline, Path(), data=None, runs=[runs / "baseline-seed0", runs / "icl-multi-seed1"])
    assert list(drawn) == ["log-loss", "confusions"]
    said = dict(line.removeprefix("left out").split(":", 1) for line in capsys.readouterr().err.splitlines())
    reasons = {name.strip().removesuffix(".png"): reason for name, reason in said.items()}
    assert list(reasons) == ["search", "probe", "microphones", "differences", *OF_DATA, "embeddings"]
    assert "same seed" in reasons["differences"]  # there are runs of both, of other seeds
    assert "--data" in reasons["responses"]


def test_results_of_different_presets_are_not_drawn_together(results: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(RoomtrainError, match="different presets"):
        drawings.draw(PAPER, [results[0], {**results[1], "preset": "paper"}], tmp_path, data=None, runs=[])
    assert not list(tmp_path.iterdir())


def test_responses_are_drawn_with_their_mean_and_ends(icl_made: Path, drawn: dict[str, Any]) -> None:
    response_figures.draw_responses(icl_made, Path())
    axes = drawn["responses"].axes
    parts = ("vintage-dirs", "multi-dirs", "many-dirs")
    for axis, part in zip(axes, parts, strict=True):
        dataset = roomgen.open(icl_made / part)
        gains = []
        for item in dataset:
            hz, time = 1000.0 * 2.0 ** np.linspace(-1 / 12, 1 / 12, 9), np.arange(item.audio.shape[1]) / item.fs_hz
            gains.append(np.mean(np.abs(np.exp(-2j * np.pi * hz[:, None] * time) @ item.audio[0]) ** 2))
        levels = 10 * np.log10(gains)
        (mean,) = axis.lines
        x, y = mean.get_data()
        assert (x[0], x[-1]) == (pytest.approx(50.0), pytest.approx(16_000.0))
        assert np.interp(1000.0, x, y) == pytest.approx(levels.mean(), abs=0.05)
        outer, middle, inner = (next(iter(band.get_paths())).vertices for band in axis.collections)
        for band, ends in ((outer, (0, 1)), (middle, (0.1, 0.9)), (inner, (0.25, 0.75))):
            near = band[np.isclose(band[:, 0], x[np.abs(x - 1000.0).argmin()], rtol=1e-6), 1]
            np.testing.assert_allclose([near.min(), near.max()], np.quantile(levels, ends), atol=0.2)
        assert axis.get_title().startswith(f"{part.removesuffix('-dirs')} DIRs\n{len(dataset):,} responses of ")
    assert "stand-in" in texts(drawn["responses"])


def test_one_microphone_is_drawn_from_front_to_back(icl_made: Path, drawn: dict[str, Any]) -> None:
    response_figures.draw_responses(icl_made, Path())
    dataset = roomgen.open(icl_made / "multi-dirs")
    rows = dataset.table()
    axis = drawn["responses-by-angle"].axes[0]
    name = drawn["responses-by-angle"].subfigs[0].get_suptitle().split("\n")[1].split()[0]
    mine = rows[(rows["microphone"] == name) & (rows["distance_m"] == 0.5) & (rows["angle_deg"] <= 180)]
    assert len(axis.lines) == len(mine) == mine["angle_deg"].nunique()
    assert len({tuple(line.get_color()) for line in axis.lines}) > len(mine) / 2
    colours = np.array([line.get_color()[:3] for line in axis.lines])
    assert colours[-1, 1] > 0.8 > 0.2 > colours[0, 1]  # from dark to light green


def test_the_papers_microphone_is_taken_before_one_like_it() -> None:
    angles = np.tile([0.0, 90.0, 180.0, 270.0], 2)
    kinds = {
        "a": ("omni", "condenser", "large"),
        "b": ("cardioid", "condenser", "large"),
        "Rode_NT2-A": ("omni", "ribbon", "small"),
    }
    columns = ["directivity", "transducer", "diaphragm_size"]
    parts = [
        pd.DataFrame({"microphone": name, "angle_deg": angles, "distance_m": np.repeat([1.25, 0.5], 4)}).assign(
            **dict(zip(columns, kind, strict=True))
        )
        for name, kind in kinds.items()
    ]
    np.testing.assert_array_equal(response_figures.turned(pd.concat(parts)), [20, 21, 22])
    np.testing.assert_array_equal(response_figures.turned(pd.concat(parts[:2])), [12, 13, 14])
    assert response_figures.turned(parts[0][parts[0]["angle_deg"] == 0.0]) is None


@pytest.fixture
def begun(icl_made: Path, tmp_path: Path) -> Path:
    """Runs of two rows with networks that have learnt nothing."""
    from safetensors.torch import save_file

    from roomtrain.papers.icl.network import new_classifier

    dataset = roomgen.open(icl_made / "scenes-by-device")
    classes = tuple(sorted(set(dataset.table(["class_name"])["class_name"])))
    for cell in PAPER.cells()[:5]:
        if cell.name in ("baseline", "multi", "icl-multi"):
            run = finish(tmp_path, cell.name, 0)
            values = json.loads((run / "settings.json").read_text())
            values["settings"]["classes"], values["data"] = classes, {"scenes-by-device": fingerprint(dataset)}
            (run / "settings.json").write_text(json.dumps(values))
            if cell.name != "multi":
                settings = settings_of(PAPER, "smoke", {"seed": len(cell.name)})  # other numbers for each
                (run / "scenes").mkdir()
                (run / "scenes" / "stage.json").write_text("{}")
                save_file(new_classifier(settings, len(classes), weights=False).state_dict(), run / "scenes" / "best.safetensors")
    return tmp_path


def test_embeddings_are_drawn_by_scene_and_by_device(
    begun: Path, icl_made: Path, drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(run_figures, "SHOWN", 50)
    found = run_figures.finished(PAPER, folders(begun))
    assert list(run_figures.mapped(found)) == ["baseline", "icl-multi"]  # "multi" has no weights
    threads = torch.get_num_threads()
    run_figures.draw_embeddings(PAPER, found, icl_made, Path())
    assert torch.get_num_threads() == threads
    axes = np.array(drawn["embeddings"].axes).reshape(2, 2)
    assert [axis.get_title() for axis in axes[0]] == ["PaSST", "+ ICL + multi DIRs"]
    for column in axes.T:
        by_scene, by_device = (np.concatenate([line.get_xydata() for line in axis.lines]) for axis in column)
        assert len(by_scene) == 50
        np.testing.assert_array_equal(np.unique(by_scene, axis=0), np.unique(by_device, axis=0))  # the same places
        assert [line.get_label() for line in column[1].lines] == list(DEVICES)
        looks = {(str(line.get_color()), line.get_marker()) for line in column[0].lines}
        assert len(looks) == len(column[0].lines) == 10
    left, right = (np.concatenate([line.get_xydata() for line in axis.lines]) for axis in axes[0])
    assert not np.allclose(left, right)
