"""What a guided step does to the video: its loss falls, where and how far it is moved."""

import re
import types
from dataclasses import replace

import pytest
import torch

LOSSES = re.compile(r"noise level ([\d.]+): loss (\S+) to (\S+)")


@pytest.fixture
def guided(sample, graph, given):
    """guided(**settings) -> latent; `options` a dict of Motion Guidance Options, `sampler` inputs of KSampler."""

    def run(options=None, sampler=None, give=None, amf=None, **settings):
        nodes = {}
        if options is not None:
            rare = {"update": "rms", "strength_decay": 0.0, "loss_floor": 0.0, "blocks": "all", "checkpoint": "auto"}
            nodes = {"options": graph.node("VMT_GuidanceOptions", **{**rare, **options})}
            settings["options"] = ["options", 0]
        parts = graph.loader(), graph.amf(**(amf or {})), nodes, graph.guidance(**settings)
        return sample(*parts, graph.ksampler(**(sampler or {})), give=give)

    return run


def test_the_loss_falls_in_every_guided_step(guided, caplog):
    caplog.set_level("INFO")
    guided(inner_steps=6)
    found = LOSSES.findall(caplog.text)
    assert len(found) == 3, "of 6 steps with shift 8, those at .976, .941 and .889 lie within .99 and .85"
    for level, first, last in found:
        assert float(last) < 0.9 * float(first), level


@pytest.mark.parametrize("update", ["rms", "adam", "sign"])
def test_every_update_rule_lowers_the_loss(guided, caplog, update):
    caplog.set_level("INFO")
    guided(options={"update": update}, inner_steps=4, strength=0.03)
    steps = LOSSES.findall(caplog.text)
    assert len(steps) == 3 and all(float(last) < float(first) for _, first, last in steps)


def test_step_size_is_the_strength(sample, graph, guided, plain):
    """One inner step at one noise level moves the video by strength, as RMS; the sampler's step passes it on."""
    one = {"steps": 2, "cfg": 1.0}
    # Only the start at sigma 1 is guided, so the difference in x there is the update itself.
    stop = {"sampler_name": "euler", **one}
    moved = [guided(strength=s, sigma_start=1.0, sigma_end=0.999, inner_steps=1, sampler=stop) for s in (1e-3, 2e-3)]
    still = plain(**stop)
    small, large = ((latent - still).square().mean().sqrt().item() for latent in moved)
    assert 0 < small < large and large / small == pytest.approx(2, rel=0.1)


def every_setting_matters(guided):
    base = guided()
    changes = [
        {"strength": 0.02}, {"sigma_start": 0.95}, {"sigma_end": 0.93}, {"inner_steps": 3}, {"recompute_every": 2},
        {"look_ahead": False},
        {"options": {"update": "sign"}}, {"options": {"strength_decay": 0.5}}, {"options": {"blocks": "1"}},
        {"options": {"loss_floor": 1.0}}, {"options": {"reuse_steps": 2, "turn": -1.0}},
        {"options": {"window_share": 0.5}}, {"options": {"size": "half"}}, {"options": {"both_ways": True}},
        {"options": {"smoothing": 0.7}}, {"options": {"max_steps": 1}}, {"options": {"share_forward": True}},
        {"amf": {"sigma": 0.3}}, {"amf": {"noise_seed": 1}}, {"amf": {"rope": "post"}},
        {"amf": {"mode": "ode_inversion"}}, {"amf": {"extract": {"span": 1}}},
        {"amf": {"extract": {"radius": -1}}}, {"amf": {"extract": {"temperature": 3.0}}},
        {"amf": {"extract": {"weight": "none"}}}, {"amf": {"extract": {"target": "argmax"}}},
        {"amf": {"extract": {"heads": "mean_flow"}}}, {"amf": {"extract": {"tile_rows": 3}}},
        {"amf": {"extract": {"tile_columns": 3}}}, {"amf": {"extract": {"centre": "match"}}},
    ]  # fmt: skip
    for change in changes:
        assert not torch.equal(guided(**change), base), change
    assert torch.equal(guided(options={}), base), "defaults of the options node are those without it"


def test_settings_change_the_result(guided):
    every_setting_matters(guided)


@pytest.mark.parametrize("checkpoint", ["none", "selective", "block"])
def test_checkpoint_mode_changes_nothing(guided, checkpoint):
    assert (guided(options={"checkpoint": checkpoint}) - guided()).abs().max() < 1e-5


def test_auto_keeps_as_much_as_fits(monkeypatch, model, flow, pack):
    import comfy.model_management as management

    sampling = pack("nodes.host.attention_guidance")
    config = pack("vmt.guidance.config").GuidanceConfig()
    engine = sampling.AttentionGuidance(flow, config, None, sampling.check_wan(model))
    guider = types.SimpleNamespace(inner_model=model.model, model_patcher=model, conds={"positive": [{}]})
    sampled = types.SimpleNamespace(inner_model=guider)
    x, ways = torch.zeros(1), []
    checkpoint, sizes = pack("nodes.host.checkpoint"), (engine.wan.dim, engine.wan.ffn_dim)
    kept = {c: checkpoint.kept_per_token(c, *sizes) for c in ("none", "selective", "block")}
    needed = {c: 2 * 4 * 2 * flow.grid.num_tokens * values for c, values in kept.items()}
    for free in (10**12, needed["none"] - 1, needed["selective"], needed["selective"] - 1, 0):
        monkeypatch.setattr(management, "get_free_memory", lambda device, free=free: free)
        ways.append(engine.ways(sampled, x))
    everything = ("none", "selective", "block", "half size")
    assert ways == [everything, everything[1:], everything[1:], everything[2:], everything[2:]]
    monkeypatch.setattr(management, "get_free_memory", lambda device: needed["none"] // 4)
    halved = sampling.AttentionGuidance(flow, replace(config, size="half"), None, engine.wan)
    assert halved.ways(sampled, x) == everything[:3], "a fourth of the tokens"
    assert halved.ways(sampled, torch.zeros(2)) == everything[1:3]
    guider.conds["positive"] = [{}, {}]
    assert halved.ways(sampled, x) == everything[1:3], "two prompts are two videos"


def test_auto_counts_the_blocks_of_vace(monkeypatch, sample, graph, other_wan, pack):
    """Of these all is kept; there are two of them among the first three blocks."""
    import comfy.model_management as management

    checkpoint, model = pack("nodes.host.checkpoint"), sample(graph.loader(other_wan("vace")), want=("model", 0))
    wan = pack("nodes.host.model_check").check_wan(model)
    mapping = model.model.diffusion_model.vace_layers_mapping
    among = sum(block < 3 for block in mapping)
    assert among
    of_all = checkpoint.kept_per_token("none", wan.dim, wan.ffn_dim)
    needed = 2 * 4 * 100 * (3 * checkpoint.kept_per_token("block", wan.dim, wan.ffn_dim) + among * of_all)
    for free, ways in ((needed + 2 * 4 * 100 * 3 * of_all, 3), (needed, 1), (needed - 1, 1)):
        monkeypatch.setattr(management, "get_free_memory", lambda device, free=free: free)
        assert len(checkpoint.fitting(model, wan, 3, 100)) == ways


def test_memory_is_freed_before_queries_and_keys_go_to_the_device(monkeypatch, sample, graph):
    import comfy.model_management as management

    asked = []
    monkeypatch.setattr(management, "free_memory", lambda memory, device, *rest, **more: asked.append((memory, device)))
    features = sample(graph.loader(), graph.amf(sigma=0.45), want=("inversion", 0))
    of_model = len(asked)
    sample(graph.loader(), graph.amf(sigma=0.45), want=("amf", 0))
    assert of_model > 1 and len(asked) == of_model + 1, "by Windowed Inversion, and by Extract AMF"
    memory, device = asked[-1]
    assert memory > 2 * features.queries[1].nbytes and device == management.get_torch_device()


def test_auto_counts_copies_of_weights(monkeypatch, model, flow, pack):
    """Here they would fill the room that is left beside what is kept of the video."""
    import comfy.model_management as management

    sampling, checkpoint = pack("nodes.host.attention_guidance"), pack("nodes.host.checkpoint")
    config = pack("vmt.guidance.config").GuidanceConfig()
    engine = sampling.AttentionGuidance(flow, config, None, sampling.check_wan(model))
    kept = checkpoint.kept_per_token("none", engine.wan.dim, engine.wan.ffn_dim)
    free = 2 * 4 * 2 * flow.grid.num_tokens * kept
    monkeypatch.setattr(management, "get_free_memory", lambda device: free)
    held = types.SimpleNamespace(inner_model=model.model, model_patcher=model, conds={"positive": [{}]})
    firsts = [engine.ways(types.SimpleNamespace(inner_model=held), torch.zeros(1))[0]]
    lora = [lambda weight: weight]  # added whenever the weight is used
    monkeypatch.setattr(model.model.diffusion_model.blocks[1].ffn[0], "weight_function", lora)
    firsts.append(engine.ways(types.SimpleNamespace(inner_model=held), torch.zeros(1))[0])
    assert firsts == ["none", "selective"]


def test_a_batch_of_two_is_two_singles(sample, graph, given, inside, model, flow, pack):
    """Each sample has its own loss and its own step size, whatever is sampled beside it."""
    sampling = pack("nodes.host.attention_guidance")
    config = pack("vmt.guidance.config").GuidanceConfig(strength=0.05)
    skip = pack("vmt.guidance.gradient_skip").GradientSkip()
    engine = sampling.AttentionGuidance(sampling.normal_flow(flow), config, None, sampling.check_wan(model), "none")
    start = torch.randn(2, 16, 3, 8, 8, generator=torch.Generator().manual_seed(11))
    start[1] *= 1.5

    def step(x):
        def look(sampled, _, sigmas, extra_args):
            return engine._guided_step(sampled, x, sigmas[0], extra_args, skip, "test")

        return inside(model, look, latent=torch.ones(x.shape) * 0.1)

    both, first, second = step(start), step(start[:1]), step(start[1:])
    assert (both - start).square().mean((1, 2, 3, 4)).min() > 1e-3
    assert (both - torch.cat([first, second])).abs().max() < 1e-4


def test_two_prompts_are_averaged(given, guided, caplog):
    """Conditioning (Combine) gives two positive prompts; the loss is the mean over both."""
    caplog.set_level("INFO")
    text = given["positive"][0][0]
    once, twice = guided(), guided(give={"positive": [[text, {}], [text.clone(), {}]]})
    assert (twice - once).abs().max() < 0.02 * once.abs().max()
    losses = [float(first) for _, first, _ in LOSSES.findall(caplog.text)]
    assert losses[:3] == pytest.approx(losses[3:], rel=0.02), "not their sum"
    other = guided(give={"positive": [[text, {}], [text[:, :3].clone(), {}]]})
    assert torch.isfinite(other).all() and not torch.equal(other, twice)


def test_region_limits_what_is_followed(guided, given, regions):
    """A region of the whole frame is no region; half of it is another guidance."""
    whole, half = regions
    base = guided()
    assert torch.equal(guided(region=["mask", 0], give={"mask": whole}), base)
    assert not torch.equal(guided(region=["mask", 0], give={"mask": half}), base)
    per_frame = half.expand(9, -1, -1).contiguous()
    assert torch.allclose(guided(region=["mask", 0], give={"mask": per_frame}),
                          guided(region=["mask", 0], give={"mask": half}), atol=1e-4)  # fmt: skip


def test_two_guidances_in_a_row(sample, graph, caplog):
    """Two references, one after the other on the MODEL line: both guide."""
    caplog.set_level("INFO")
    second = graph.guidance(("guidance", 0), strength=0.02)
    both = sample(graph.loader(), graph.amf(), graph.guidance(), {"second": second["guidance"]},
                  graph.ksampler(("second", 0)))  # fmt: skip
    assert len(LOSSES.findall(caplog.text)) == 6
    one = sample(graph.loader(), graph.amf(), graph.guidance(), graph.ksampler())
    assert not torch.equal(both, one)


def test_memory_is_reserved_once(sample, graph, monkeypatch):
    import comfy.sampler_helpers

    asked = []
    original = comfy.sampler_helpers._prepare_sampling

    def prepare(model, noise_shape, *args, **kwargs):
        asked.append(list(noise_shape))
        return original(model, noise_shape, *args, **kwargs)

    monkeypatch.setattr(comfy.sampler_helpers, "_prepare_sampling", prepare)
    sample(graph.loader(), graph.ksampler(("model", 0)))
    sample(graph.loader(), graph.amf(), graph.guidance(), graph.ksampler())
    second = {"second": graph.guidance(("guidance", 0))["guidance"]}
    sample(graph.loader(), graph.amf(), graph.guidance(), second, graph.ksampler(("second", 0)))
    batches = [shape[0] for shape in asked]
    assert batches[0] == 1 and batches[-1] == 3 and set(batches[1:]) <= {1, 3}
