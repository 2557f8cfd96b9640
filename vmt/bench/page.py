"""A bench as a web page: its tables, every case as a dot, and of each case what was made, where it moved and how far.

One folder without scripts or anything from elsewhere: index.html, and a JPEG of frames and one of displacements a case.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

import torch
from PIL import Image

from ..contact_sheet import contact_sheet, side_by_side
from ..metrics.track_picture import draw_field
from ..metrics.tracks import follow_grid
from ..whole_file import whole_file
from .case import Case, Figures
from .clip_models import told_absent
from .motion_plots import COLOUR, motion_plots
from .report import FLOOR, TABLE, rows, within_noise

REFERENCE = "reference"
COLUMNS = 9  # frames of a contact sheet
FIELD_STEPS = 8  # frames that an arrow spans
FIELD_WIDTH = 192  # pixels
DOTS = {  # what a case's dot tells; of the other categories, its path: most figures go nowhere, their limbs move
    "camera": "camera_correlation",
    "complex_motion": "located_correlation",
}
WIDTH, ROW, LEFT = 760, 26, 190  # pixels of the dot plots
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums }
th, td { padding: .2em .7em; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
figure { margin: 1em 0; overflow-x: auto } figcaption { color: #666 } img { max-width: 100% }
section.case { border-top: 1px solid #ccc; margin-top: 2.5em } svg { display: block }
"""


def write_page(
    folder: Path, report: dict, cases: dict[str, list[Case]], scores: dict[str, dict[str, dict[str, Figures]]],
    frames_of: Callable[[str, Case], torch.Tensor], say=lambda text: None,
) -> Path:  # fmt: skip
    """Write the page and its pictures; index.html comes last, so a page that is there is whole.

    Args:
        report: as the JSON file has it. scores: category -> method -> case name -> figures.
        frames_of: (method, case) -> frames (T,H,W,3) of a result that has figures. say: is told how far it is.
    Returns:
        Path of index.html.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    told = [f"{key}: {report[key]}" for key in ("split", "seed", "cases", "model", "half")]
    told += [f"{key}: {value}" for key, value in report["host"].items()]
    parts = [f"<h1>Motion transfer</h1><p>{escape(', '.join(told))}</p>", _explained(), _table(report["methods"])]
    parts += [f"<p>{escape(line)}</p>" for line in told_absent(report["absent"])]
    for category, listed in cases.items():
        entry = report["categories"][category]
        parts.append(f"<h2 id='{escape(category)}'>{escape(category)}, {len(listed)} cases</h2>")
        parts += [_table(entry["methods"]), _left_out(entry["skipped"]), _dots(category, scores[category])]
        for number, case in enumerate(listed):
            done = {m: found[case.name] for m, found in scores[category].items() if case.name in found}
            results = {name: frames_of(name, case) for name in done}
            parts.append(_case(folder, case, done, results))
            say(f"page: {category} {number + 1}/{len(listed)}")
    text = "\n".join(parts)
    page = f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Motion transfer</title><style>{STYLE}</style>"
    with whole_file(folder / "index.html") as file:
        file.write_text(f"{page}\n{text}\n</html>\n", encoding="utf-8")
    return folder / "index.html"


def _explained() -> str:
    return (
        f"<p>* the mean differs from {FLOOR} on the same cases beyond noise (95 % bootstrap interval of the paired "
        "difference); of leakage, that it is above 0. Path, camera and places: median / mean [interval of the mean]; 1 "
        "is the reference's motion, 0 chance, -1 the opposite.</p>"
    )


def _table(methods: dict[str, dict]) -> str:
    heading, *others = ([escape(cell) for cell in row] for row in rows(methods))
    lines = [f"<tr><th>{'</th><th>'.join(heading)}</th></tr>"]
    lines += [f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in others]
    alike = "".join(f"<p>{escape(line)}</p>" for line in within_noise(methods).splitlines())
    return f"<table>{''.join(lines)}</table>{alike}"


def _left_out(skipped: dict[str, dict[str, str]]) -> str:
    lines = [
        f"<li>{escape(name)} on {escape(case)}: {escape(reason)}</li>"
        for name, reasons in skipped.items()
        for case, reason in reasons.items()
    ]
    return f"<p>Left out:</p><ul>{''.join(lines)}</ul>" if lines else ""


def _dots(category: str, scores: dict[str, dict[str, Figures]]) -> str:
    """Every case of every method as a dot between -1 and 1, linked to the case."""
    figure = dot_figure(category)
    x = _axis(WIDTH - 20)
    height = ROW * (len(scores) + 1)
    drawn = [f"<line x1='{x(v):.0f}' x2='{x(v):.0f}' y1='0' y2='{height - ROW}' stroke='#ddd'/>" for v in (-1, 0, 1)]
    drawn += [f"<text x='{x(v):.0f}' y='{height - 8}' text-anchor='middle'>{v}</text>" for v in (-1, 0, 1)]
    for row, (method, cases) in enumerate(scores.items()):
        y = ROW * row + ROW / 2
        drawn.append(f"<text x='{LEFT - 10}' y='{y + 4:.0f}' text-anchor='end'>{escape(method)}</text>")
        for case, figures in cases.items():
            value = figures.get(figure)
            if value is not None:
                dot = f"<circle cx='{x(value):.1f}' cy='{y:.0f}' r='4' fill='{COLOUR}' fill-opacity='.45'>"
                title = f"<title>{escape(case)}: {value:.2f}</title>"
                drawn.append(f"<a href='#{escape(case)}'>{dot}{title}</circle></a>")
    size = f"width='{WIDTH}' height='{height}' font-size='13'"
    caption = f"{TABLE[figure][0]} of every case; a dot leads to its case"
    return f"<figure><svg {size}>{''.join(drawn)}</svg><figcaption>{caption}</figcaption></figure>"


def dot_figure(category: str) -> str:
    """Which figure tells of a case of the category in one number from -1 to 1 whether it moves as its reference."""
    return DOTS.get(category, "centred_correlation")


def _axis(end: float) -> Callable[[float], float]:
    return lambda value: LEFT + (end - LEFT) * (value + 1) / 2


def _case(folder: Path, case: Case, done: dict[str, Figures], results: dict[str, torch.Tensor]) -> str:
    title = f"{case.name}: {case.about}"
    if not results:
        return f"<section class='case' id='{escape(case.name)}'><h3>{escape(title)}</h3><p>no result</p></section>"
    clip = case.clip()
    clips = {REFERENCE: clip.frames, **results}
    contact_sheet(clips, COLUMNS).save(folder / f"{case.name}.jpg", quality=85)
    fields = [_field(frames) for frames in clips.values()]
    side_by_side(fields).save(folder / f"{case.name}-field.jpg", quality=85)
    shown = [
        f"<section class='case' id='{escape(case.name)}'><h3>{escape(title)}</h3>",
        f"<p>{escape(case.told)}</p>",
        _picture(f"{case.name}.jpg", "frames"),
        _picture(f"{case.name}-field.jpg", f"{_field_steps(clips)} frames' way: {', '.join(clips)}"),
        motion_plots(case, clip, results, REFERENCE),
    ]
    figures = {
        key: heading for key, (heading, _) in TABLE.items() if any(f.get(key) is not None for f in done.values())
    }
    lines = [f"<tr><th>method</th>{''.join(f'<th>{escape(heading)}</th>' for heading in figures.values())}</tr>"]
    for name, of_method in done.items():
        cells = "".join(f"<td>{_number(of_method.get(key), TABLE[key][1])}</td>" for key in figures)
        lines.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return "".join([*shown, f"<table>{''.join(lines)}</table></section>"])


def _number(value: float | bool | None, decimals: int) -> str:
    return "–" if value is None else f"{float(value):.{decimals}f}"


def _picture(file: str, caption: str) -> str:
    return f"<figure><img loading='lazy' src='{escape(file)}'><figcaption>{escape(caption)}</figcaption></figure>"


def _field_steps(clips: dict[str, torch.Tensor]) -> int:
    return min(FIELD_STEPS, len(clips[REFERENCE]) - 1)


def _field(frames: torch.Tensor) -> Image.Image:
    picture = Image.fromarray(draw_field(frames, follow_grid(frames, FIELD_STEPS)))
    return picture.resize((FIELD_WIDTH, round(picture.height * FIELD_WIDTH / picture.width)), Image.Resampling.LANCZOS)
