"""Compare Methods: several results of one reference in one table and one picture."""

import json
from functools import partial

import comfy.utils
from comfy_api.latest import io, ui

from ..vmt.errors import InputError
from .host.node_text import show_on_node
from .host.opencv import check_opencv

SOCKETS = tuple(f"output_{letter}" for letter in "abcdef")


class CompareMethods(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VMT_CompareMethods",
            display_name="Compare Methods",
            category="VMT",
            description="Up to six results of one reference beside one another: a table of how each moves, and all of "
            "them frame by frame.",
            inputs=[
                io.Image.Input("reference", tooltip="Frames of the reference, from Load Reference Video."),
                *(
                    io.Image.Input(
                        name,
                        optional=number > 0,
                        tooltip="Frames of a result, as many and as large as the reference's.",
                    )
                    for number, name in enumerate(SOCKETS)
                ),
                io.Image.Input(
                    "unguided",
                    optional=True,
                    tooltip="Frames of the same prompt and seed without guidance; with them leakage can be told.",
                ),
                io.String.Input(
                    "names",
                    default="",
                    multiline=True,
                    tooltip="What to call the connected results, one name a line; the others keep their letter.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="table", tooltip="A Markdown table, and what was left out and why."),
                io.String.Output(display_name="figures", tooltip="All figures of all results as JSON."),
                io.Image.Output(display_name="sheet", tooltip="Reference and results under one another."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, reference, names="", unguided=None, **outputs) -> io.NodeOutput:
        check_opencv()
        from ..vmt.metrics.comparison import compare
        from ..vmt.metrics.motion_report import PASSES

        connected = [name for name in SOCKETS if outputs.get(name) is not None]
        called = [line.strip() for line in names.splitlines() if line.strip()]
        letters = [name.removeprefix("output_") for name in connected[len(called) :]]
        if len(called) > len(connected) or len({*called, *letters}) < len([*called, *letters]):
            raise InputError(
                f"{len(called)} names ({', '.join(called)}) were given for {len(connected)} results; at most one for "
                f"each, all different and none the letter of a result without a name ({', '.join(letters) or 'none'}), "
                "is allowed. Change the names."
            )
        results = {name: outputs[socket] for name, socket in zip([*called, *letters], connected, strict=True)}
        bar = comfy.utils.ProgressBar((1 + len(results)) * PASSES * (len(reference) - 1))
        comparison = compare(reference, results, unguided, on_step=partial(bar.update, 1))
        table, sheet = comparison.table(), comparison.sheet()
        show_on_node(table)
        figures = json.dumps({"results": comparison.figures, "skipped": comparison.skipped}, indent=1)
        preview = ui.PreviewImage(sheet, cls=cls).as_dict()
        shown = {**preview, **ui.PreviewText(table).as_dict(), "figures": [figures]}  # in the history of a headless run
        return io.NodeOutput(table, figures, sheet, ui=shown)
