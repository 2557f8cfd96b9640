"""The same promise as in test_left_as_found.py, for a server that is cancelled with POST /interrupt."""

import pytest
import torch
from safetensors.torch import load, save_file

from vmt.launch.run_result import PromptInterrupted


@pytest.fixture
def on_server(server, host, tmp_path, graph, write_tiny):
    """The graph parts that replace what tests in this process are given: files and stock nodes."""
    name = "server_wan_random.safetensors"
    write_tiny(server.process.base / "models" / "diffusion_models" / name)
    generator = torch.Generator().manual_seed(1)
    file = tmp_path / "reference.latent"
    save_file({"latent_tensor": torch.randn(1, 16, 3, 8, 8, generator=generator),
               "latent_format_version_0": torch.tensor([])}, file)  # fmt: skip
    node = graph.node
    return {
        **graph.loader(name),
        "reference": node("LoadLatent", latent=server.upload(file)),
        "empty": node("EmptyHunyuanLatentVideo", width=64, height=64, length=9, batch_size=1),
        "clip": node("VMT_DemoTextEncoder"),
        "positive": node("CLIPTextEncode", clip=["clip", 0], text="red square"),
        "negative": node("CLIPTextEncode", clip=["clip", 0], text=""),
        "save": node("SaveLatent", samples=["sampled", 0], filename_prefix="latents/test"),
    }


def test_interrupt_in_mid_guidance(server, graph, on_server):
    def run(*parts, seed=3, **kwargs):
        prompt = {**on_server}
        for part in (*parts, graph.ksampler(("guidance", 0) if parts else ("model", 0), seed=seed)):
            prompt.update(part)
        result = server.run(prompt, **kwargs)
        return load(server.fetch(result.files("save")[0]))["latent_tensor"]

    plain = run()
    guided = run(graph.amf(), graph.guidance())
    assert (guided - plain).abs().max() > 0.01

    seen = []

    def cancel(node, value, total):
        if node == "sampled" and total:
            seen.append(value)
            server.interrupt()  # step 1 is not guided and done; the hundreds of inner steps before step 2 are running

    with pytest.raises(PromptInterrupted):
        run(graph.amf(), graph.guidance(inner_steps=100, strength=0.01), seed=4, on_progress=cancel)
    assert seen == [1]

    run(seed=5)  # otherwise the results below would come from the host's cache
    assert torch.equal(run(), plain)
    assert torch.equal(run(graph.amf(), graph.guidance()), guided)
