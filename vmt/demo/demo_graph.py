"""The demo workflow with a user's reference, prompt and seed put in, and the three graphs that the demo runs of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import InputError
from . import api_graph

LOADER = "VMT_LoadReferenceVideo"
EXTRACT = "VMT_ExtractAMF"
PICTURE_OUTPUT = 1  # of Extract AMF
SHOWS_PICTURES = ("PreviewImage", "SaveImage")


@dataclass(frozen=True)
class DemoGraph:
    """`full`: the workflow. The other names are ids of its nodes: what to change, and what to look at."""

    full: dict
    loader: str
    sampler: str
    save: str  # Save Video of the guided result
    picture: str  # shows the displacement picture
    caption: str = ""  # what the reference shows, where that is known

    @property
    def prompt(self) -> str:
        return self.full[self.prompt_node]["inputs"]["text"]

    @property
    def seed(self) -> int:
        return self.full[self.sampler]["inputs"][self._seed_name()]

    @property
    def reference(self) -> str:
        return self.full[self.loader]["inputs"]["file"]

    def filled(self, reference: str | None, prompt: str | None, seed: int | None) -> DemoGraph:
        """With the given values; None leaves the workflow's own."""
        graph = self.full
        if reference is not None:
            graph = api_graph.with_input(graph, self.loader, "file", reference)
        if prompt is not None:
            graph = api_graph.with_input(graph, self.prompt_node, "text", prompt)
        if seed is not None:
            graph = api_graph.with_input(graph, self.sampler, self._seed_name(), seed)
        return replace(self, full=graph)

    def reference_part(self) -> dict:
        """Loads the model and takes the motion of the reference."""
        return api_graph.keep(self.full, self.picture)

    def guided(self) -> dict:
        return api_graph.keep(self.full, self.save, self.picture)

    def plain(self) -> dict:
        """The same without guidance. The reference part stays in: the host keeps results of the last graph only."""
        plain = api_graph.without_guidance(api_graph.keep(self.full, self.save))
        return {**api_graph.keep(plain, self.save), **self.reference_part()}

    @property
    def prompt_node(self) -> str:
        """The id of the text node that the sampler's positive input comes from."""
        node_id = api_graph.link(self.full, self.sampler, "positive")
        while node_id and "text" not in self.full[node_id]["inputs"]:
            node_id = api_graph.link(self.full, node_id, "positive")
        if not node_id:
            raise InputError("The sampler of the workflow has no text node at its input positive; connect one.")
        return node_id

    def images(self, graph: dict) -> list:
        """The link to the frames that a graph made of the workflow saves as its video."""
        return graph[api_graph.link(graph, self.save, "video")]["inputs"]["images"]

    def _seed_name(self) -> str:
        return "noise_seed" if "noise_seed" in self.full[self.sampler]["inputs"] else "seed"


def read(graph: dict) -> DemoGraph:
    """Finds the demo's nodes by their class. Raises InputError if the workflow is not of the demo's form."""
    saves = [node_id for node_id in api_graph.find(graph, "SaveVideo") if api_graph.is_guided(graph, node_id)]
    if len(saves) != 1:
        raise InputError(f"The workflow has {len(saves)} Save Video nodes after a guided sampler; the demo needs one.")
    before = api_graph.upstream(graph, saves[0])
    samplers = [node_id for node_id in before if "Sampler" in graph[node_id]["class_type"]
                and "positive" in graph[node_id]["inputs"]]  # fmt: skip
    if len(samplers) != 1:
        raise InputError(f"The workflow samples the guided video with {len(samplers)} samplers; the demo needs one.")
    extract = api_graph.only(graph, EXTRACT)
    shown = [node_id for kind in SHOWS_PICTURES for node_id in api_graph.find(graph, kind)]
    shown = [node_id for node_id in shown if extract in api_graph.upstream(graph, node_id)]
    pictures = [node_id for node_id in shown if not api_graph.is_guided(graph, node_id)]
    if not pictures:
        pictures = ["displacement picture"]
        show = {"class_type": "PreviewImage", "inputs": {"images": [extract, PICTURE_OUTPUT]}}
        graph = {**graph, pictures[0]: show}
    return DemoGraph(graph, api_graph.only(graph, LOADER), samplers[0], saves[0], pictures[0])
