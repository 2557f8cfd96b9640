"""`python3 -m vmt bench memory`: what comparing motion takes in memory as frames grow, in windows and without.

Counted on meta tensors: the AMF loss of one block of Wan 2.1 1.3B at 81 frames, and its gradient to q and k, beside
q and k themselves. All frame pairs at once, and in parts that the backward pass computes again, as the nodes do it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..signals.attention_flow import AttentionFlowConfig, attention_flow_loss
from ..signals.matching import MEMORY_LIMIT
from ..token_grid import TokenGrid
from ..whole_file import write_json
from .fake_wan import META, LiveBytes, unknown_flow
from .plot import check_picture, new_figure, save

FRAMES, HEADS, CHANNELS = 21, 12, 128  # latent frames; of Wan 2.1 1.3B
HEIGHTS = (10, 15, 20, 30, 40, 60, 80)  # tokens; widths are 16/9 of them: 160x288 to 1280x2272 pixels
UNLIMITED = 1 << 60
ROWS: dict[str, tuple[AttentionFlowConfig, int]] = {
    "windows of 5x5": (AttentionFlowConfig(), UNLIMITED),
    "windows of 21x21, shared by 3x4": (AttentionFlowConfig(radius=10, tile=(3, 4)), UNLIMITED),
    "whole frames": (AttentionFlowConfig(radius=None), UNLIMITED),
    "windows of 5x5, in parts": (AttentionFlowConfig(), MEMORY_LIMIT),
    "whole frames, in parts": (AttentionFlowConfig(radius=None), MEMORY_LIMIT),
}


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m vmt bench memory", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="a plot, .png or .svg; needs matplotlib")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    options = parse(argv)
    check_picture(options.picture)
    grids = [TokenGrid(FRAMES, height, round(height * 16 / 9)) for height in HEIGHTS]
    rows = {name: [peak_bytes(grid, *row) for grid in grids] for name, row in ROWS.items()}
    report = {"frames": FRAMES, "tokens_of_a_frame": [grid.per_frame for grid in grids], "peak_bytes": rows}
    if options.json:
        write_json(options.json, report)
    if options.picture:
        plot(report, options.picture)
    print("| tokens of a frame | " + " | ".join(str(n) for n in report["tokens_of_a_frame"]) + " |")
    print("|---" * (1 + len(grids)) + "|")
    for name, peaks in rows.items():
        print(f"| {name}, GB | " + " | ".join(f"{peak / 1e9:.3g}" for peak in peaks) + " |")
    return 0


def peak_bytes(grid: TokenGrid, config: AttentionFlowConfig, memory_limit: int) -> int:
    """The most that results of the loss and of its gradient take at one time."""
    with META, LiveBytes() as live:
        queries, keys = (
            {0: torch.empty(1, grid.num_tokens, HEADS, CHANNELS, dtype=torch.bfloat16, requires_grad=True)}
            for _ in range(2)
        )
        beside = live.peak
        loss = attention_flow_loss(unknown_flow(grid, config, (0,)), queries, keys, memory_limit=memory_limit)
        torch.autograd.grad(loss.sum(), [queries[0], keys[0]])
    return live.peak - beside


def plot(report: dict, path: Path) -> None:
    """The report as a plot. Raises InputError without matplotlib."""
    figure = new_figure(6, 3.6)
    axes = figure.add_subplot(xlabel="tokens of a frame", ylabel="peak memory, GB", xscale="log", yscale="log")
    for name, peaks in report["peak_bytes"].items():
        axes.plot(report["tokens_of_a_frame"], [peak / 1e9 for peak in peaks], marker="o", label=name)
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)
