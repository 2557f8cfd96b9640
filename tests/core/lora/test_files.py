"""Tuned branches as files."""

import pytest
import torch
from safetensors.torch import load_file

from vmt.errors import InputError
from vmt.lora.branches import PARTS, BranchLora
from vmt.lora.files import holds_branch, read, read_branch, state_dict, write

HEADS = torch.tensor([[True, False], [True, False]])


def branch():
    lora = BranchLora(HEADS, 8, 2)
    torch.nn.init.normal_(lora.parts["1_q"].up)
    return lora


def test_names_and_sizes_are_those_of_the_hosts_loaders():
    tensors = state_dict(branch())
    base = "diffusion_model.blocks.1.self_attn.q"
    assert len(tensors) == 2 * 4 * 3
    assert tensors[f"{base}.lora_down.weight"].shape == (2, 8) and tensors[f"{base}.lora_up.weight"].shape == (8, 2)
    assert all(tensor.dtype == torch.float16 for name, tensor in tensors.items() if not name.endswith("alpha"))


def test_the_loaders_formula_gives_the_branchs_update():
    lora, x = branch(), torch.randn(3, 8)
    tensors = state_dict(lora, torch.float32)
    base = "diffusion_model.blocks.1.self_attn.q"
    down, up, alpha = (tensors[f"{base}.{name}"] for name in ("lora_down.weight", "lora_up.weight", "alpha"))
    change = x @ (up @ down * (alpha / len(down))).T
    torch.testing.assert_close(change, lora.add_to(torch.zeros(3, 8), x, 1, "q"))


def test_a_branch_that_is_read_adds_what_the_written_one_did():
    heads = torch.tensor([[True, False], [False, False], [False, True]])  # of the second block it reaches none
    lora, x = BranchLora(heads, 8, 2), torch.randn(3, 8)
    for part in lora.parts.values():
        torch.nn.init.normal_(part.up)
    again = read_branch(state_dict(lora, torch.float32))
    assert again.parts.keys() == lora.parts.keys()
    for block in range(3):
        for part in PARTS:
            torch.testing.assert_close(again.add_to(x, x, block, part), lora.add_to(x, x, block, part))


def test_what_is_not_named_as_a_branch_is_none():
    tensors = state_dict(branch())
    assert holds_branch(tensors) and not holds_branch({})
    assert not holds_branch({key.replace("lora_down", "lora_A"): tensor for key, tensor in tensors.items()})
    assert not holds_branch(dict(list(tensors.items())[:-1])) and not holds_branch({**tensors, "more": tensors})


def test_written_whole_and_read_back(tmp_path):
    tensors = state_dict(branch())
    write(tmp_path / "new" / "motion.safetensors", tensors, {"rank": "2", "base": "a model"})
    loaded = load_file(tmp_path / "new" / "motion.safetensors")
    assert loaded.keys() == tensors.keys() and all(torch.equal(loaded[n], t) for n, t in tensors.items())
    again, about = read(tmp_path / "new" / "motion.safetensors")
    assert about["base"] == "a model" and all(torch.equal(again[n], t) for n, t in tensors.items())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["motion.safetensors"]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, full_disk):
    with (
        full_disk(),
        pytest.raises(InputError, match=r"motion.safetensors cannot be written .File too large.; .* room"),
    ):
        write(tmp_path / "motion.safetensors", state_dict(branch()), {})
    assert not list(tmp_path.iterdir())


def test_where_no_file_can_be_made_it_is_told(tmp_path):
    (tmp_path / "motion.partial").mkdir()
    with pytest.raises(InputError, match=r"motion.safetensors cannot be written .* change the file name's folder"):
        write(tmp_path / "motion.safetensors", state_dict(branch()), {})
