"""What is tuned for a comparison has as many parameters as its line says, on the demo model's own heads."""

import pytest
import torch

from vmt.bench.methods import load
from vmt.demo import api_graph, demo_graph
from vmt.demo.run import WORKFLOW
from vmt.demo.sampling import shape_of_file
from vmt.demo.train import DIT_FILE, WEIGHTS
from vmt.lora.branches import SPATIAL, TEMPORAL, BranchLora
from vmt.lora.presets import PRESETS, TunerConfig
from vmt.lora.roles_file import read_roles

EACH = 221_184  # parameters of either LoRA


@pytest.fixture(scope="module")
def counted():
    """counted(method) -> parameters of the motion and of the appearance LoRA; 0 for one that is not trained."""
    demo = demo_graph.read(api_graph.load(WORKFLOW))
    temporal = read_roles(WEIGHTS / "heads" / "vmt_demo_wan_t2v.json")[0].temporal
    width = shape_of_file(WEIGHTS / DIT_FILE).width

    def count(name):
        graph = load(name).graph(demo)
        given = graph[api_graph.only(graph, "VMT_TunerOptions")]["inputs"]
        preset = PRESETS[graph[api_graph.only(graph, "VMT_DecoupledLoraTuner")]["inputs"]["preset"]]
        told = {
            key: value for key, value in given.items() if key not in ("half_steps", "temporal_steps", "learning_rate")
        }
        config = TunerConfig(**{**told, "spatial_steps": given["spatial_steps"] % (preset.spatial_steps + 1)})
        reached = {TEMPORAL: temporal, SPATIAL: ~temporal}
        counts = []
        for branch in (TEMPORAL, SPATIAL):
            heads = torch.ones_like(temporal) if config.heads == "all" else reached[branch]
            lora = BranchLora(heads, width, config.rank_of(branch))
            trained = branch == TEMPORAL or config.spatial_steps
            counts.append(sum(p.numel() for p in lora.parameters()) if trained else 0)
        return tuple(counts)

    return count


def test_both_loras_of_ours(counted):
    assert counted("decoupled_lora") == (EACH, EACH)


@pytest.mark.parametrize("name", ["plain_lora", "dual_path", "decoupled_lora_own_heads"])
def test_as_many_as_both_loras_of_ours(counted, name):
    assert sum(counted(name)) == 2 * EACH
    assert "as many parameters" in load(name).about


@pytest.mark.parametrize("part", ["every_frame", "no_direction", "rope_none", "rope_tokens"])
def test_other_parts_do_not_change_the_size(counted, part):
    assert counted(f"decoupled_lora_{part}") == (EACH, EACH)


def test_without_the_look_only_the_motion_lora_is_left(counted):
    assert counted("decoupled_lora_no_spatial") == (EACH, 0)
