"""Every case of every method as a dot: what a mean hides."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from .case import Figures
from .motion_plots import COLOUR
from .page import dot_figure
from .plot import new_figure, save
from .report import TABLE

ROW, PANEL, LABELS = 0.3, 3.0, 1.8  # inches
SPREAD = (-0.24, 0.08, 0.24, -0.08, 0.16, -0.16, 0.0)  # of a row: neighbours lie beside one another


def draw_cases(scores: dict[str, dict[str, dict[str, Figures]]], path: Path) -> None:
    """A panel for each category: its correlation from -1 to 1, a line of dots for each method, a bar at their median.

    Args:
        scores: category -> method -> case name -> figures.
    Raises:
        InputError: no matplotlib.
    """
    methods = list(dict.fromkeys(name for found in scores.values() for name in found))
    figure = new_figure(LABELS + PANEL * len(scores), ROW * len(methods) + 0.8)
    panels = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    for axes, (category, found) in zip(panels, scores.items(), strict=True):
        key = dot_figure(category)
        for row, name in enumerate(methods):
            cases = found.get(name, {}).values()
            values = sorted(figures[key] for figures in cases if figures.get(key) is not None)
            places = [row + SPREAD[n % len(SPREAD)] for n in range(len(values))]
            axes.scatter(values, places, s=7, alpha=0.5, linewidths=0, color=COLOUR)
            if values:
                axes.plot([median(values)] * 2, [row - 0.4, row + 0.4], color="black", linewidth=1.5)
        axes.set(title=category.replace("_", " "), xlabel=TABLE[key][0], xlim=(-1.05, 1.05), xticks=(-1, 0, 1))
        axes.grid(axis="x", alpha=0.4)
    panels[0].set_yticks(range(len(methods)), methods)
    panels[0].invert_yaxis()
    save(figure, path)
