"""The shipped model's weights in 16 bits, computed in 16 bits, through the tuner."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from vmt.demo.train import DIT_FILE, WEIGHTS


@pytest.fixture
def demo(host, executor, graph, given):
    """demo(dtype) -> the demo model from a file of that dtype, to be computed in it."""

    def load(dtype):
        name = DIT_FILE.name
        if dtype != torch.float16:  # as it is shipped
            name = f"demo_{dtype}.safetensors"
            weights = {key: weight.to(dtype) for key, weight in load_file(WEIGHTS / DIT_FILE).items()}
            save_file(weights, host.base / "models" / "diffusion_models" / name)
        model = executor.run(graph.loader(name), want={"model": ["model", 0]}, give=given).got["model"].clone()
        model.set_model_compute_dtype(dtype)
        return model

    return load


def test_16_bits_learn_what_32_do(tune, demo, pack, about, no_files):
    roles_file, told, losses = pack("vmt.lora.roles_file"), [], {}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        steps = {"spatial_steps": 2, "temporal_steps": 3}
        found = tune(model=("own", 0), give={"own": demo(dtype)}, filename_prefix=f"loras/{name}", options=steps).got
        losses[dtype] = torch.tensor(found["loss_map"]["loss"])
        assert all(torch.isfinite(tensor).all() for tensor in found["motion"].values())
        ups = [tensor for key, tensor in found["motion"].items() if key.endswith("lora_up.weight")]
        assert all((up != 0).any() for up in ups)
        told.append(about(no_files / "output" / "loras" / f"{name}_motion_00001_.safetensors"))
    for dtype in (torch.float16, torch.bfloat16):
        torch.testing.assert_close(losses[dtype], losses[torch.float32], rtol=0.03, atol=0)
    assert not list((no_files / "user" / "vmt_tuning" / "heads").glob("*")), (
        "the shipped table is known by each of them"
    )
    first, *others = (roles_file.read_mark(each["base_fingerprint"]) for each in told)
    assert all(roles_file.same_model(first, other) for other in others)
    assert len({each["head_mask"] for each in told}) == 1
