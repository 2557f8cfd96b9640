"""The figures of a whole bench as JSON and as a Markdown table. The JSON's form is stable: its keys are only added to.

{"split", "seed", "cases", "model", "host": {"comfyui", "torch", "dtype"}, "half", "absent": {METRIC: why},
"categories": {CATEGORY: {"methods": {NAME: {METRIC: {"median", "mean", "ci95", "n"}, "vs_unguided": {METRIC: {"mean",
"ci95", "n"}}, "vs": {NAME: {METRIC: {"mean", "ci95", "n"}}}, "forwards", "backwards", "flops"}}, "skipped": {NAME:
{CASE: why}}}}, "methods": the same over all categories}

METRIC: those of `TABLE`, "seconds" among them, and what else the cases' figures hold. "forwards", "backwards" and
"flops" are numbers, of one run (`compute.Compute`), and left out where they could not be counted.

"ci95" is a bootstrap interval of the mean over the cases; "vs_unguided" that of the paired difference from the unguided
videos, "vs" that from each other method before it, of the metrics in `COMPARED`.
"""

from __future__ import annotations

from ..metrics.summary import differences, summarise
from .case import Figures

FLOOR = "unguided"
MOTION = {  # figure -> heading, decimals
    "centred_correlation": ("path", 2),
    "camera_correlation": ("camera", 2),
    "located_correlation": ("same places", 2),
    "object_located_correlation": ("without the camera", 2),
    "epe_px": ("error, px", 2),
    "path_wrong_way": ("path, wrong way", 2),
    "wrong_way": ("wrong way", 2),
    "no_move": ("stands", 2),
    "speed_ratio": ("speed", 2),
    "followed": ("followed", 2),
    "camera_down_px": ("down, px", 2),
    "camera_right_px": ("right, px", 2),
    "camera_zoom_px": ("zoom, px", 2),
    "camera_roll_px": ("roll, px", 2),
    "motion_fidelity_as_coded": ("fidelity as coded", 2),
    "motion_fidelity_chance": ("by chance", 2),
    "seconds": ("s", 1),
}
LOOK = {
    "leakage": ("leakage", 3),
    "object_present": ("present", 2),
    "colour_right": ("colour", 2),
    "shape_right": ("shape", 2),
    "things_right": ("whole", 2),
    "ground_right": ("ground", 2),
    "texture_right": ("texture", 2),
    "diversity": ("diversity", 3),
    "flicker": ("flicker", 3),
    "warp_error": ("warp error", 3),
    "clip_text_alignment": ("CLIP text", 3),
    "clip_frame_consistency": ("CLIP frames", 3),
    "background_consistency": ("background", 3),
}
TABLE = MOTION | LOOK
COMPUTE = {  # heading, unit, decimals
    "forwards": ("forwards", 1, 1),
    "backwards": ("backwards", 1, 1),
    "flops": ("TFLOP", 1e12, 2),
}
LEAST = 6  # cases: fewer that all agree are still chance, at 5 %
MEDIAN = ("centred_correlation", "camera_correlation", "located_correlation")  # told as median / mean
COMPARED = (*MEDIAN, "path_wrong_way", "leakage", "colour_right", "shape_right")
ONE_IN = 20  # pairs of equal methods that an interval of 95 % tells apart by chance
LEAKAGE = "leakage"  # counts from the unguided video already: what is beyond noise is beyond 0
MIDDLE = "seconds"  # told as the median: a machine may pause


def summary(scores: dict[str, dict[str, Figures]], groups: dict[str, str] | None = None) -> dict[str, dict]:
    """Per method, every metric over its cases.

    Args:
        scores: method -> case name -> figures. groups: case name -> reference, where cases share them.
    """
    methods = {}
    for name, cases in scores.items():
        if not cases:
            continue
        against = {
            other: found
            for other in methods
            if other != FLOOR and (found := _difference(_of(COMPARED, cases), _of(COMPARED, scores[other]), groups))
        }
        entries = {key: _entry(figure) for key, figure in _summarised(cases, groups).items()}
        methods[name] = {**entries, "vs": against}
        if name != FLOOR and (found := _difference(cases, scores.get(FLOOR, {}), groups)):
            methods[name]["vs_unguided"] = {key: value for key, value in found.items() if key != LEAKAGE}
    return methods


def _of(keys: tuple[str, ...], cases: dict[str, Figures]) -> dict[str, Figures]:
    return {name: {key: figures.get(key) for key in keys} for name, figures in cases.items()}


def _summarised(cases: dict[str, Figures], groups: dict[str, str] | None) -> dict[str, dict]:
    return summarise(list(cases.values()), groups=[groups[case] for case in cases] if groups else None)


def _difference(
    cases: dict[str, Figures], others: dict[str, Figures], groups: dict[str, str] | None
) -> dict[str, dict]:
    """Of the cases that both have; empty if there are none."""
    common = [case for case in cases if case in others]
    if not common:
        return {}
    apart = differences([cases[c] for c in common], [others[c] for c in common])
    pairs = _summarised(dict(zip(common, apart, strict=True)), groups)
    return {key: {"mean": pair["mean"], "ci95": pair["mean_95"], "n": pair["n"]} for key, pair in pairs.items()}


def _entry(figure: dict) -> dict:
    return {"median": figure["median"], "mean": figure["mean"], "ci95": figure["mean_95"], "n": figure["n"]}


def rows(methods: dict[str, dict], columns: dict[str, tuple[str, int]] = TABLE) -> list[list[str]]:
    """Cells of a table, its heading first, then a row a method; what is counted stands beside the seconds.

    An asterisk: the mean's difference from unguided on the same cases is beyond noise; of leakage, that it is above 0.
    """
    shown = [key for key in columns if any(m.get(key, {}).get("n") for m in methods.values())]
    counted = [key for key in COMPUTE if any(key in m for m in methods.values())] if MIDDLE in columns else []
    heading = ["method", *(columns[key][0] for key in shown), *(COMPUTE[key][0] for key in counted)]
    cells = [
        [name, *(_cell(figures, key) for key in shown), *(_compute(figures, key) for key in counted)]
        for name, figures in methods.items()
    ]
    return [heading, *cells]


def table(methods: dict[str, dict]) -> str:
    """The rows as two Markdown tables, of motion and of looks; the second is left out where it has no column."""
    tables = []
    for columns in (MOTION, LOOK):
        heading, *others = rows(methods, columns)
        if len(heading) > 1:
            lines = [heading, ["---"] * len(heading), *others]
            tables.append("\n".join(f"| {' | '.join(row)} |" for row in lines))
    return "\n\n".join(tables)


def _compute(figures: dict, key: str) -> str:
    _, unit, decimals = COMPUTE[key]
    return f"{figures[key] / unit:.{decimals}f}" if key in figures else "–"


def _cell(figures: dict, key: str) -> str:
    figure, decimals = figures.get(key), TABLE[key][1]
    if not figure or figure["mean"] is None:
        return "–"
    low, high = figure["ci95"]
    if key == MIDDLE:
        return f"{figure['median']:.{decimals}f}"
    text = f"{figure['mean']:.{decimals}f}"
    if key in MEDIAN:
        text = f"{figure['median']:.{decimals}f} / {text} [{low:.2f}, {high:.2f}]"
    if key == LEAKAGE:
        return text + ("*" if figure["mean"] > 0 and _is_beyond_noise(figure) else "")
    against = figures.get("vs_unguided", {}).get(key)
    return text + ("*" if against and _is_beyond_noise(against) else "")


def _is_beyond_noise(difference: dict) -> bool:
    interval = difference["ci95"]
    return bool(interval) and difference["n"] >= LEAST and (interval[0] > 0 or interval[1] < 0)


def within_noise(methods: dict[str, dict]) -> str:
    """Which methods the table does not tell from one another, in a line for each of `MEDIAN`; and how many pairs would
    be told apart by chance."""
    lines, pairs = [], 0
    for key in MEDIAN:
        compared = [
            (other, name, against[key])
            for name, figures in methods.items()
            for other, against in figures.get("vs", {}).items()
            if against.get(key, {}).get("n")
        ]
        alike = [f"{other} and {name}" for other, name, against in compared if not _is_beyond_noise(against)]
        pairs += len(compared)
        if compared:
            lines.append(f"{TABLE[key][0]}, within noise of one another: {', '.join(alike) or 'no two methods'}.")
    if pairs >= ONE_IN:
        lines.append(f"Of {pairs} pairs of equal methods about {pairs / ONE_IN:.0f} would seem to differ by chance.")
    return "\n".join(lines)
