"""What is refused, and the text a user gets: what was given, what is allowed, what to do.

`pytest -s` prints the table.
"""

from types import SimpleNamespace

import pytest
import torch

from vmt.launch.run_result import NodeFailed, PromptRefused

NAN, INF = float("nan"), float("inf")


def latent(*shape, fill=1.0):
    samples = torch.full(shape, fill)
    return {"samples": samples}


def broken(value):
    samples = torch.ones(1, 16, 3, 8, 8)
    samples[0, 3, 1, 4, 4] = value
    return {"samples": samples}


def text(width=4096, **more):
    return [[torch.ones(1, 4, width), more]]


# Each case: what it changes of the graph below, and the parts of the message a user needs.
INVERSION = {
    "image latent": ({"reference": latent(1, 16, 8, 8)}, ["Reference latent has shape (1, 16, 8, 8)", "VAE Encode"]),
    "latent of another VAE": ({"reference": latent(1, 4, 3, 8, 8)}, ["4 channels", "works on 16", "VAE that belongs"]),
    "latent of Wan 2.2 5B": ({"reference": latent(1, 48, 3, 8, 8)}, ["48 channels", "works on 16"]),
    "single frame": ({"reference": latent(1, 16, 1, 8, 8)}, ["1 latent frame", "5 video frames (4n+1)", "longer clip"]),
    "NaN latent": ({"reference": broken(NAN)}, ["Reference latent holds NaN", "Decode it"]),
    "infinite latent": ({"reference": broken(INF)}, ["Reference latent holds NaN or infinite values"]),
    "two clips": ({"reference": latent(2, 16, 3, 8, 8)}, ["holds 2 clips", "Latent From Batch"]),
    "empty latent": ({"reference": latent(1, 16, 3, 8, 8, fill=0.0)}, ["empty (all zeros)", "VAE Encode"]),
    "caption of another model": ({"caption": text(768)}, ["The caption", "width 768", "reads 4096", "umt5_xxl"]),
    "caption in a rectangle": ({"caption": text(area=(4, 4, 0, 0))}, ["The caption", "rectangle", "no area"]),
    "no caption in the list": ({"caption": []}, ["The caption is empty", "CLIP Text Encode"]),
    "block that is not there": ({"blocks": "34"}, ["block 34 does not exist", "blocks 0 to 3", "'auto'"]),
    "blocks in words": ({"blocks": "two"}, ["Blocks are 'two'", "'2, 4'"]),
    "negative block": ({"blocks": "-1"}, ["Blocks are '-1'", "'auto'"]),
    "range of blocks": ({"blocks": "1-3"}, ["Blocks are '1-3'", "separated by commas"]),
    "stray comma": ({"blocks": "1,,2"}, ["Blocks are '1,,2'"]),
    "noise level of 1": ({"sigma": 1.0}, ["Windowed", "bigger than max of 0.99"]),
    # What is not in a list: by the node on 0.3.75, and on newer hosts, which look first, in their own words.
    "unknown mode": ({"mode": "ddim"}, ["mode", "'ddim'", "noised_reference", "ode_inversion"]),
    "unknown rope": ({"rope": "mid"}, ["rope", "'mid'", "pre", "post"]),
    "no steps": ({"steps": 0}, ["smaller than min of 1"]),
    "image model": ({"model": "image"}, ["BaseModel (UNetModel), not a Wan model", "Load Diffusion Model"]),
    "another video model": ({"model": "ltxv"}, ["LTXV (LTXVModel), not a Wan model"]),
    "Wan variant": ({"model": "camera"}, ["CameraWanModel", "another kind of Wan model", "VACE"]),
    "not flow matching": ({"model": "discrete"}, ["not flow matching", "ModelSamplingSD3 is fine"]),
}
EXTRACT = {
    "no frame distance": ({"span": 0}, ["smaller than min of 1"]),
    "no temperature": ({"temperature": 0.0}, ["smaller than min of 0.01"]),
    "unknown weight": ({"weight": "speed"}, ["weight", "'speed'", "motion", "none", "confidence"]),
    "a single picture as frames": ({"frames": torch.ones(8, 8, 3)}, ["frames to draw on have shape (8, 8, 3)"]),
}
GUIDANCE = {
    "larger latent": (
        {"empty": latent(1, 16, 3, 8, 16, fill=0.0)},
        ["taken on a 3x4x4 token grid", "gives 3x4x8", "9 frames at 128x64", "9 frames at 64x64"],
    ),
    "longer latent": ({"empty": latent(1, 16, 5, 8, 8, fill=0.0)}, ["gives 5x4x4", "17 frames at 64x64"]),
    "image latent to sample": ({"empty": latent(1, 16, 8, 8)}, ["The latent to sample has 1 latent frame"]),
    "latent of another VAE to sample": ({"empty": latent(1, 8, 3, 8, 8)}, ["8 channels", "works on 16"]),
    "NaN latent to sample": ({"empty": broken(NAN)}, ["The latent to sample holds NaN"]),
    "NaN noise": ({"noise": NAN}, ["noise to start from holds NaN", "node that makes the noise"]),
    "prompt of another model": ({"positive": text(2048)}, ["The positive prompt", "width 2048", "umt5_xxl"]),
    "prompt in a rectangle": ({"positive": text(area=(4, 4, 0, 0))}, ["The positive prompt", "rectangle"]),
    "one of two prompts in a rectangle": ({"positive": text() + text(area=(4, 4, 0, 0))}, ["rectangle"]),
    "no prompt in the list": ({"positive": []}, ["The positive prompt is empty"]),
    "prompt that is not active": (
        {"positive": text(start_percent=0.9)},
        ["No attention was seen in block 1", "no positive prompt is active there"],
    ),
    "NaN prompt": ({"positive": [[torch.full((1, 4, 4096), NAN), {}]]}, ["NaN or infinite values", "instead of fp16"]),
    "sampler of its own": ({"sampler": "own"}, ["The sampler is a OwnSampler", "KSamplerSelect, euler"]),
    "guider of two prompts": ({"guider": "dual"}, ["Guider_DualCFG has two prompts", "CFGGuider"]),
    "guider without a positive": ({"guider": "own"}, ["OwnGuider has no positive prompt", "CFGGuider"]),
    "AMF of another model": (
        {"sample with": "shallow"},
        ["The AMF was taken with another model", "Windowed Inversion"],
    ),
    "image model to guide": ({"sample with": "image"}, ["BaseModel (UNetModel), not a Wan model"]),
    "block without an AMF": ({"options": {"blocks": "3"}}, ["Blocks [3] were asked for", "on blocks [1, 2]"]),
    "option block that is not there": ({"options": {"blocks": "9"}}, ["block 9 does not exist", "blocks 0 to 3"]),
    "unknown update": ({"options": {"update": "lion"}}, ["update", "'lion'", "rms", "adam", "sign"]),
    "unknown checkpoint": (
        {"options": {"checkpoint": "half"}},
        ["checkpoint", "'half'", "auto", "none", "selective", "block"],
    ),
    "start below end": ({"sigma_start": 0.5, "sigma_end": 0.9}, ["sigma_start is 0.5", "sigma_end is 0.9", "Exchange"]),
    "negative strength": ({"strength": -1.0}, ["smaller than min of 0.0"]),
    "no inner step to recompute": ({"recompute_every": 0}, ["smaller than min of 1"]),
    "masks of another clip": (
        {"region": torch.ones(7, 64, 64)},
        ["region mask has shape (7, 64, 64)", "3 (one per latent"],
    ),
    "empty mask": ({"region": torch.zeros(1, 64, 64)}, ["region mask is empty", "Paint"]),
    "mask of the last frame alone": (
        {"region": torch.cat([torch.zeros(8, 64, 64), torch.ones(1, 64, 64)])[[0, 4, 8]]},
        ["not in the last frame alone", "Paint"],
    ),
    "corresponding windows of frames at distance 1": (
        {"options": {"window_share": 0.2}, "extract": {"span": 1}},
        ["distance 1 only", "Raise span"],
    ),
    "NaN mask": ({"region": torch.full((1, 64, 64), NAN)}, ["region mask is empty, negative or NaN"]),
    "attention of another node": ({"patch": "skips"}, ["No attention was seen in block 2", "off the MODEL line"]),
    "gradient cut by another node": ({"patch": "detaches"}, ["does not depend on the latent", "off the MODEL line"]),
    "NaN from another node": ({"patch": "breaks"}, ["NaN or infinite values", "lower the strength"]),
}


@pytest.fixture
def built(host, other_wan, graph):
    """built(kind) -> (nodes, objects to give) with a node "odd": a MODEL that cannot be guided."""
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models as known

    def patcher(config):
        config.set_inference_dtype(torch.float32, None)
        with torch.device("meta"):
            model = config.get_model({}, "")
        return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))

    def build(kind):
        if kind == "shallow":
            return {"odd": graph.node("UNETLoader", unet_name=other_wan(kind), weight_dtype="default")}, {}
        if kind == "discrete":
            return {
                "odd": graph.node("ModelSamplingDiscrete", model=["model", 0], sampling="v_prediction", zsnr=False)
            }, {}
        if kind == "image":
            sizes = {"image_size": 32, "model_channels": 32, "num_res_blocks": [1, 1], "channel_mult": [1, 2]}
            sizes |= {"in_channels": 4, "out_channels": 4, "context_dim": 32, "num_heads": 2, "use_spatial_transformer":
                      True, "transformer_depth": [1, 1], "transformer_depth_output": [1, 1, 1, 1],
                      "transformer_depth_middle": 1, "use_temporal_attention": False, "adm_in_channels": None,
                      "legacy": False}  # fmt: skip
            config = known.SD15(sizes)
        elif kind == "ltxv":
            config = known.LTXV({"image_model": "ltxv", "num_layers": 1, "num_attention_heads": 2})
        else:
            config = known.WAN21_Camera(
                {"image_model": "wan2.1", "model_type": "camera", "in_dim": 32, "dim": 128, "num_heads": 1,
                 "ffn_dim": 128, "num_layers": 2}
            )  # fmt: skip
        return {}, {"odd": patcher(config)}

    return build


@pytest.fixture
def refused(sample, graph, given, capsys, request):
    """refused(*parts, give) -> the text a user gets, as one line; fails if the graph runs."""

    def run(*parts, give=None, want=("sampled", 0)):
        with pytest.raises((NodeFailed, PromptRefused)) as caught:
            sample(*parts, give=give, want=want)
        error = caught.value
        message = error.node_message if isinstance(error, NodeFailed) else str(error)
        if isinstance(error, NodeFailed):
            kind = error.exception_type.rsplit(".")[-1]
            assert kind in ("InputError", "UnsupportedModelError", "StateError"), error.traceback
        with capsys.disabled():
            if request.config.getoption("capture") == "no":
                print(f"\n| {request.node.callspec.id} | {' '.join(message.split())} |")
        return message

    return run


def check(message, parts):
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize("change, parts", INVERSION.values(), ids=INVERSION.keys())
def test_windowed_inversion(refused, graph, built, change, parts):
    settings, give, more = dict(change), {}, {}
    if "model" in settings:
        more, give = built(settings["model"])
        settings["model"] = ("odd", 0)
    if "reference" in settings:
        give = {"odd reference": settings.pop("reference")}
        settings["reference"] = ("odd reference", 0)
    if "caption" in settings:
        give = {"caption": settings.pop("caption")}
        settings["positive"] = ["caption", 0]
    check(refused(graph.loader(), more, graph.amf(**settings), give=give, want=("inversion", 0)), parts)


@pytest.mark.parametrize("change, parts", EXTRACT.values(), ids=EXTRACT.keys())
def test_extract_amf(refused, graph, change, parts):
    settings, give = dict(change), {}
    if "frames" in settings:
        give = {"frames": settings.pop("frames")}
        settings["reference_frames"] = ["frames", 0]
    check(refused(graph.loader(), graph.amf(extract=settings), give=give, want=("amf", 0)), parts)


class OwnSampler:
    """A SAMPLER that is no KSAMPLER."""

    def sample(self, *args, **kwargs):
        raise AssertionError("must not be reached")


def skips(args, extra):
    return args


def detaches(args, extra):
    return extra["original_block"]({**args, "img": args["img"].detach()})


def breaks(args, extra):
    return {"img": extra["original_block"](args)["img"] * NAN}


@pytest.mark.parametrize("change, parts", GUIDANCE.values(), ids=GUIDANCE.keys())
def test_motion_guidance(refused, graph, samplers, given, built, model, change, parts):
    import comfy.samplers

    settings, give, more = dict(change), {}, {}
    nodes = samplers["SamplerCustomAdvanced"](("guidance", 0))
    for name in ("empty", "positive"):
        if name in settings:
            give[name] = settings.pop(name)
    if "noise" in settings:
        value = settings.pop("noise")
        give["own"] = SimpleNamespace(seed=0, generate_noise=lambda latent: latent["samples"] + value)
        nodes["sampled"]["inputs"]["noise"] = ["own", 0]
    if settings.pop("sampler", None):
        give["own"] = OwnSampler()
        nodes["sampled"]["inputs"]["sampler"] = ["own", 0]
    guider = settings.pop("guider", None)
    if guider == "dual":
        nodes["guider"] = graph.node(
            "DualCFGGuider", model=["guidance", 0], cond1=["positive", 0], cond2=["positive", 0],
            negative=["negative", 0], cfg_conds=4.0, cfg_cond2_negative=4.0, style="regular",
        )  # fmt: skip
    elif guider:

        class OwnGuider(comfy.samplers.CFGGuider):
            pass

        nodes["guider"] = graph.node("VMT_TestOwnGuider", model=["guidance", 0])
        register_guider(OwnGuider)
    if "sample with" in settings:
        more, odd = built(settings.pop("sample with"))
        give.update(odd)
        settings["model"] = ("odd", 0)
    if "patch" in settings:
        patch, block = {"skips": (skips, 2), "detaches": (detaches, 0), "breaks": (breaks, 0)}[settings.pop("patch")]
        other = model.clone()
        other.set_model_patch_replace(patch, "dit", "double_block", block)
        give["patched"] = other
        settings["model"] = ("patched", 0)
    if "options" in settings:
        rare = {"update": "rms", "strength_decay": 0.0, "loss_floor": 0.0, "blocks": "all", "checkpoint": "auto"}
        more = {"options": graph.node("VMT_GuidanceOptions", **{**rare, **settings["options"]})}
        settings["options"] = ["options", 0]
    if "region" in settings:
        give["region"] = settings.pop("region")
        settings["region"] = ["region", 0]
    amf = graph.amf(extract=settings.pop("extract", {}))
    check(refused(graph.loader(), amf, more, graph.guidance(**settings), nodes, give=give), parts)


def register_guider(kind):
    """A node that makes a guider whose only conditioning is not called positive."""
    import nodes

    class MakesGuider:
        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"model": ("MODEL",)}}

        RETURN_TYPES = ("GUIDER",)
        FUNCTION = "run"
        CATEGORY = "test"

        def run(self, model):
            guider = kind(model)
            guider.inner_set_conds({"cond": text()})
            return (guider,)

    nodes.NODE_CLASS_MAPPINGS["VMT_TestOwnGuider"] = MakesGuider


def test_a_refusal_leaves_the_model_as_it_was(sample, graph, refused_run):
    plain = sample(graph.loader(), graph.ksampler(("model", 0)))
    refused_run()
    assert torch.equal(sample(graph.loader(), graph.ksampler(("model", 0))), plain)


@pytest.fixture
def refused_run(sample, graph):
    def run():
        with pytest.raises(NodeFailed):
            sample(graph.loader(), graph.amf(), graph.guidance(), graph.ksampler(), give={"positive": text(16)})

    return run


def test_quantised_weights_that_are_multiplied_as_they_are(model, flow, pack, monkeypatch):
    from comfy.quant_ops import QuantizedTensor

    layer, config = model.model.diffusion_model.blocks[2].ffn[0], pack("vmt.guidance.config").GuidanceConfig()
    attach, plain = pack("nodes.host.attention_guidance").attach_attention_guidance, layer.weight
    packed = QuantizedTensor.from_float(plain.detach(), "TensorCoreFP8Layout")
    layer.weight = torch.nn.Parameter(packed, requires_grad=False)
    monkeypatch.setattr(layer, "layout_type", "TensorCoreFP8Layout", raising=False)
    try:
        with pytest.raises(ValueError, match=r"quantised weights .* without a gradient.* preset free"):
            attach(model, flow, config)
        monkeypatch.setattr(layer, "_full_precision_mm", True, raising=False)
        attach(model, flow, config)
    finally:
        layer.weight = plain
