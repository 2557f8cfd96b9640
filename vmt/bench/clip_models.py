"""The user's own CLIP as a judge of the bench: it looks at what a run has just made, in the host that made it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..errors import InputError
from ..launch.server import Server
from ..metrics.clip_scores import NAMES

METRICS = "clip metrics"
WHY_ABSENT = "no CLIP vision model was given (--clip-vision)"
WHY_NO_TEXT = "no text encoder of the CLIP was given (--clip-text)"


@dataclass(frozen=True)
class ClipModels:
    """Names as the host lists them: of a CLIP vision model, and of its text encoder, None to do without."""

    vision: str
    text: str | None = None

    def check(self, server: Server) -> None:
        """Raises InputError if the host does not have them."""
        for loader, name, folder in (
            ("CLIPVisionLoader", self.vision, "clip_vision"),
            ("CLIPLoader", self.text, "text_encoders"),
        ):
            kind, *more = server.get(f"/object_info/{loader}")[loader]["input"]["required"]["clip_name"]
            known = kind if isinstance(kind, list) else more[0]["options"]
            if name is not None and name not in known:
                raise InputError(
                    f"{name} is none of the host's models ({', '.join(known) or 'it has none'}). Name one of them, or "
                    f"put the file into {server.process.base / 'models' / folder}."
                )

    def scores(self, server: Server, graph: dict, images: list, caption: str | None) -> dict[str, float | None]:
        """CLIP's figures of what `graph` has made, which is still in the host's cache: so no video's time is longer.

        Args:
            images: link to the frames in the graph. They stand in for the reference, which CLIP's figures do not need.
            caption: what they are to show; None leaves the text's figure undefined.
        """
        inputs = {"reference": images, "output": images, "clip_vision": ["clip vision", 0]}
        added = {"clip vision": {"class_type": "CLIPVisionLoader", "inputs": {"clip_name": self.vision}}}
        if self.text and caption is not None:
            inputs["text"] = ["clip prompt", 0]
            loader = {"clip_name": self.text, "type": "stable_diffusion"}
            added["clip text"] = {"class_type": "CLIPLoader", "inputs": loader}
            added["clip prompt"] = {
                "class_type": "CLIPTextEncode",
                "inputs": {"clip": ["clip text", 0], "text": caption},
            }
        added[METRICS] = {"class_type": "VMT_MotionMetrics", "inputs": inputs}
        run = server.run({**graph, **added})
        figures = json.loads(run.outputs[METRICS]["figures"][0])
        return {name: figures[name] for name in NAMES}


def clip_models(vision: str | None, text: str | None) -> ClipModels | None:
    """Of the command's options. Raises InputError for a text encoder without the vision model."""
    if text and not vision:
        raise InputError(f"--clip-text {text} was given without --clip-vision; both are of one CLIP. Give both.")
    return ClipModels(vision, text) if vision else None


def told_absent(absent: dict[str, str]) -> list[str]:
    """A line for each reason of `why_absent`."""
    names = {reason: [n for n in absent if absent[n] == reason] for reason in absent.values()}
    return [f"Not told: {', '.join(of_it)}, since {reason}." for reason, of_it in names.items()]


def why_absent(vision: str | None, text: str | None) -> dict[str, str]:
    """name of a figure that cannot be had -> why, of the names of a CLIP vision model and of its text encoder."""
    if not vision:
        return dict.fromkeys(NAMES, WHY_ABSENT)
    return {} if text else {NAMES[0]: WHY_NO_TEXT}
