"""The demo workflow where the host's device is not the CPU: from the clip to the saved video."""

import shutil

from vmt.demo import api_graph
from vmt.demo.reference_clip import write_reference
from vmt.demo.run import WORKFLOW

SMALL = {"frames": 5, "width": 64, "height": 64, "steps": 4}
# Noise of ancestral samplers is drawn by a device's own generator, and this one has none.
CHANGES = {**SMALL, "sampler_name": "euler"}


def test_demo(executor, host, on_second_device, tmp_path):
    shutil.copy(write_reference(tmp_path / "reference.mp4"), host.base / "input")
    graph = api_graph.load(WORKFLOW)
    for node in graph.values():
        changed = {name: CHANGES[name] for name, value in node["inputs"].items() if not isinstance(value, list)
                   and name in CHANGES}  # fmt: skip
        node["inputs"] = {**node["inputs"], **changed, "not in a cache of another test": 1}
    assert api_graph.only(graph, "SaveVideo") in executor.run(graph).ran
