"""`python3 -m vmt bench cost`: what a whole run costs in floating-point operations, plain and guided.

Counted on meta tensors, so no weights and no GPU are needed, whatever the size of the model. Of the demo model
time and memory can be taken as well.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..demo import api_graph
from ..demo.run import WORKFLOW
from ..demo.sampling import shape_of_file
from ..demo.train import DIT_FILE, WEIGHTS
from ..demo.vocabulary import NUM_TOKENS
from ..demo.wan_dit import WanShape
from ..errors import InputError
from ..flow_matching import shifted_sigmas
from ..guidance.presets import PRESETS
from ..signals.attention_flow import AttentionFlowConfig
from ..whole_file import write_json
from . import cost_rows, tuning_rows
from .fake_wan import CHECKPOINTS, TEXT_TOKENS, Cost, FakeWan
from .report import FLOOR
from .runs import loading
from .wall_clock import peaks, ratios, tunings

# Sizes of the published weights: arXiv 2503.20314, table 2.
SHAPES = {"wan2.1-1.3b": WanShape(1536, 8960, 30), "wan2.1-14b": WanShape(5120, 13824, 40)}
MODELS = (*SHAPES, "demo")
BLOCKS = {"wan2.1-1.3b": (14,), "wan2.1-14b": (14,), "demo": (2,)}
# As the workflows have it: windows of 21x21 tokens shared by 3x4 at 480x832, of 5x5 for the demo.
FLOWS = {"demo": AttentionFlowConfig()}
LARGE = AttentionFlowConfig(span=3, radius=10, tile=(3, 4))
SHIFT = 5.0
PUBLISHED = {"frames": 81, "size": (480, 832), "steps": 50}
TUNINGS = ("decoupled_lora", "plain_lora", "stock_lora")  # methods of the bench


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal()) or int(height) % 16 or int(width) % 16 or not int(height):
        raise argparse.ArgumentTypeError(f"{text} is no size. Give HEIGHTxWIDTH, multiples of 16, such as 480x832.")
    return int(height), int(width)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m vmt bench cost", description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="wan2.1-1.3b")
    parser.add_argument("--frames", type=int, help="4n+1 (default: 81; of the demo those of its workflow)")
    parser.add_argument("--size", type=_size, metavar="HxW", help="default: 480x832; of the demo likewise")
    parser.add_argument("--steps", type=int, help="default: 50; of the demo likewise")
    parser.add_argument("--no-cfg", action="store_true", help="one prompt a step, as distilled models have it")
    parser.add_argument(
        "--kept", choices=CHECKPOINTS[:3], default="selective",
        help="what gradients compute again: nothing, all but attention, or whole blocks (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--tuning", action="store_true", help="also what tuning a LoRA to one clip of that size costs")
    parser.add_argument(
        "--timed",
        type=int,
        default=0,
        metavar="N",
        help="also run the demo model, on N cases, and tell the seconds and the memory; with --tuning of one tuning of "
        f"each of {', '.join(TUNINGS)} as well",
    )
    parser.add_argument("--half", action="store_true", help="with --timed: the host's models in bfloat16")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    for name, value in (_of_workflow() if options.model == "demo" else PUBLISHED).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def _of_workflow() -> dict:
    """What the demo's workflow makes, which is what is timed."""
    workflow = api_graph.load(WORKFLOW)
    clip, sampler = loading(workflow), workflow[api_graph.only(workflow, api_graph.SAMPLER)]
    return {"frames": clip.frames, "size": (clip.height, clip.width), "steps": sampler["inputs"]["steps"]}


def main(argv: list[str]) -> int:
    options = parse(argv)
    if options.frames < 5 or options.frames % 4 != 1 or options.steps < 1:
        raise InputError(
            f"{options.frames} frames and {options.steps} steps were asked for; 4n+1 frames, 5 or more, and 1 step or "
            "more are allowed. Change the one that is not."
        )
    if options.timed and options.model != "demo":
        raise InputError(
            f"--timed was given with {options.model}, whose weights are not here; only the demo model can be timed. "
            "Use --model demo, or time your own with `bench transfer --workflow`."
        )
    if options.timed:
        _check_timed(options)
    plain, rows = count(options)
    report = {
        "model": options.model,
        "frames": options.frames,
        "size": "x".join(map(str, options.size)),
        "steps": options.steps,
        "kept": options.kept,
        "plain_flops": plain.flops,
        "rows": {name: told(cost, plain) for name, cost in {"plain": plain, **rows}.items()},
    }
    if options.timed:
        report["timed_cases"] = options.timed
        held = peaks(list(PRESETS), options.half)
        for name, (seconds, ratio) in ratios(list(PRESETS), options.timed, options.half).items():
            report["rows"]["plain" if name == FLOOR else name] |= {
                "seconds": seconds, "seconds_ratio": ratio, "host_peak_bytes": held[name],
                "host_peak_ratio": held[name] and held[name] / held[FLOOR],
            }  # fmt: skip
        if options.tuning:
            report["tunings"] = tunings(TUNINGS, options.half)
    if options.json:
        write_json(options.json, report)
    print(table(report["rows"]))
    if "tunings" in report:
        print("\n" + tunings_table(report["tunings"]))
    return 0


def _check_timed(options: argparse.Namespace) -> None:
    """Raises InputError if another run is counted than the one that is timed."""
    timed = _of_workflow()
    if options.no_cfg or any(getattr(options, name) != value for name, value in timed.items()):
        raise InputError(
            f"--timed was given with {_told_run(vars(options))}{' and --no-cfg' * options.no_cfg}; what is timed is "
            f"the demo's workflow, {_told_run(timed)} with a negative prompt. Leave --timed or the others out."
        )


def _told_run(run: dict) -> str:
    height, width = run["size"]
    return f"{run['frames']} frames, {height}x{width}, {run['steps']} steps"


def count(options: argparse.Namespace) -> tuple[Cost, dict[str, Cost]]:
    shape = SHAPES.get(options.model) or shape_of_file(WEIGHTS / DIT_FILE)
    latent = ((options.frames - 1) // 4 + 1, *(side // 8 for side in options.size))
    text_tokens = NUM_TOKENS if options.model == "demo" else TEXT_TOKENS
    wan, flow = FakeWan(shape, latent, text_tokens), FLOWS.get(options.model, LARGE)
    levels = shifted_sigmas(options.steps, SHIFT).tolist()[:-1]
    prompts = 1 if options.no_cfg else 2
    rows = {
        name: cost_rows.guided(wan, levels, prompts, preset, BLOCKS[options.model], flow, options.kept)
        for name, preset in PRESETS.items()
    }
    if shape.blocks >= cost_rows.RELEASE_BLOCKS:
        rows["fastvmt_release"] = cost_rows.fastvmt_release(wan, options.steps, prompts, flow)
    rows["flowmotion"] = cost_rows.flowmotion(wan, options.steps, prompts)
    if options.tuning:
        rows |= tuning_rows.rows(shape, options.frames, options.size, options.kept, text_tokens)
    return cost_rows.plain(wan, options.steps, prompts), rows


def told(cost: Cost, plain: Cost) -> dict[str, float]:
    return {
        "flops": cost.flops,
        "ratio": cost.flops / plain.flops,
        "forwards": cost.forwards,
        "backwards": cost.backwards,
        "peak_activation_bytes": cost.peak_bytes,
    }


def table(rows: dict[str, dict[str, float]]) -> str:
    timed = any("seconds" in row for row in rows.values())
    heads = [
        "run",
        "PFLOP",
        "of plain",
        "forwards",
        "backwards",
        "activations, GB",
        *["seconds", "of plain", "host's memory"] * timed,
    ]
    lines = [heads, ["---"] * len(heads)]
    for name, row in rows.items():
        cells = [f"{row['flops'] / 1e15:.4g}", f"{row['ratio']:.3f}", f"{row['forwards']:.1f}"]
        cells += [f"{row['backwards']:.1f}", f"{row['peak_activation_bytes'] / 1e9:.3g}"]
        if timed:
            cells += _taken(row) if "seconds" in row else ["–"] * 3
        lines.append([name, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tunings_table(rows: dict[str, dict[str, float | None]]) -> str:
    lines = ["| tuning | seconds | host's memory, GB |", "|---|---|---|"]
    for name, row in rows.items():
        held = f"{row['host_peak_bytes'] / 1e9:.2f}" if row["host_peak_bytes"] else "–"
        lines.append(f"| {name} | {row['seconds']:.0f} | {held} |")
    return "\n".join(lines)


def _taken(row: dict[str, float]) -> list[str]:
    held = f"{row['host_peak_ratio']:.2f} of plain" if row["host_peak_ratio"] else "–"
    return [f"{row['seconds']:.1f}", f"{row['seconds_ratio']:.2f}", held]
