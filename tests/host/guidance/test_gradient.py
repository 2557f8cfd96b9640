"""The gradient of the guidance loss with respect to the latent, through the real blocks on real inference tensors."""

import pytest
import torch

from vmt.flow_matching import velocity_from_clean

TOLERANCE = 2e-4  # 1e-3 is what is promised; measured on the CPU in fp32: 1e-5


@pytest.fixture
def guidance(flow, pack):
    """guidance(model, checkpoint, flow): the engine, as Motion Guidance attaches it; it looks at x itself."""
    sampling = pack("nodes.host.attention_guidance")
    config = pack("vmt.guidance.config").GuidanceConfig

    def make(model, checkpoint="none", flow=flow, look_ahead=False, **settings):
        settings = config(look_ahead=look_ahead, **settings)
        wan = sampling.check_wan(model)
        return sampling.AttentionGuidance(sampling.normal_flow(flow), settings, None, wan, checkpoint)

    return make


@pytest.fixture
def grad_scope(pack):
    return pack("nodes.host.gradients").grad_scope


def loss_function(engine, sampled, x, sigmas, extra_args):
    return engine.loss_function(sampled, x, sigmas[0], extra_args["model_options"], way=engine.ways(sampled, x)[0])


@pytest.fixture
def gradient(inside, grad_scope, guidance):
    """gradient(model, checkpoint) -> d loss / d latent."""

    def measure(model, checkpoint="none", **kwargs):
        engine = guidance(model, checkpoint)

        def look(sampled, x, sigmas, extra_args):
            with grad_scope():
                loss_fn = loss_function(engine, sampled, x, sigmas, extra_args)
                leaf = x.clone().requires_grad_()
                return torch.autograd.grad(loss_fn(leaf).sum(), leaf)[0]

        return inside(model, look, **kwargs)

    return measure


def relative(a, b):
    return ((a - b).double().norm() / b.double().norm()).item()


@pytest.mark.parametrize("size", ["full", "half"])
@pytest.mark.parametrize("checkpoint", ["none", "selective", "block"])
def test_gradient_is_that_of_finite_differences(model, inside, grad_scope, guidance, checkpoint, size):
    engine = guidance(model, checkpoint, size=size)
    step = {"full": 0.15, "half": 0.07}[size]

    def look(sampled, x, sigmas, extra_args):
        worst = 0.0
        with grad_scope():
            loss_fn = loss_function(engine, sampled, x, sigmas, extra_args)
            x = x.clone()
            leaf = x.clone().requires_grad_()
            gradient = torch.autograd.grad(loss_fn(leaf).sum(), leaf)[0]
            with torch.no_grad():

                def slope(direction, step):
                    difference = loss_fn(x + step * direction) - loss_fn(x - step * direction)
                    return difference.double().item() / (2 * step)

                generator = torch.Generator().manual_seed(0)
                for _ in range(4):
                    # Along random parts of the gradient: a wholly random direction has almost no slope to measure.
                    direction = gradient * torch.rand(gradient.shape, generator=generator)
                    direction /= direction.norm()
                    measured = (
                        4 * slope(direction, step) - slope(direction, 2 * step)
                    ) / 3  # without the third derivative
                    expected = (gradient.double() * direction.double()).sum().item()
                    worst = max(worst, abs(measured / expected - 1))
        return worst

    worst = inside(model, look)
    print(f"\nlargest relative error against finite differences, checkpoint {checkpoint}, {size} size: {worst:.1e}")
    assert worst < TOLERANCE


@pytest.mark.parametrize("checkpoint", ["selective", "block"])
def test_checkpointing_changes_nothing(model, gradient, checkpoint):
    assert relative(gradient(model, checkpoint), gradient(model, "none")) < 1e-6


def loss_and_gradient(engine, sampled, x, sigma, extra_args):
    loss_fn = engine.loss_function(sampled, x, sigma, extra_args["model_options"])
    leaf = x.clone().requires_grad_()
    loss = loss_fn(leaf).sum()
    return loss.item(), torch.autograd.grad(loss, leaf)[0]


def test_looking_ahead_is_looking_at_the_predicted_clip(model, inside, grad_scope, guidance, flow):
    """Loss and gradient are those at x + (t - sigma) v, with v of the positive prompt, at the reference's level t."""
    import comfy.samplers

    level = flow.sigma
    assert level == 0.5

    def look(sampled, x, sigmas, extra_args):
        guider, sigma = sampled.inner_model, sigmas[0]
        with grad_scope():
            x = x.clone()
            with torch.no_grad():
                prompts = [guider.conds["positive"]]
                predicted = comfy.samplers.calc_cond_batch(guider.inner_model, prompts, x, sigma[None], {})[0]
            ahead = x + (level - sigma) * (x - predicted) / sigma
            wanted = loss_and_gradient(guidance(model), sampled, ahead, torch.tensor(level), extra_args)
            found = loss_and_gradient(guidance(model, look_ahead=True), sampled, x, sigma, extra_args)
            here = loss_and_gradient(guidance(model), sampled, x, sigma, extra_args)
        return wanted, found, here

    (loss, gradient), found, here = inside(model, look)
    assert found[0] == pytest.approx(loss, rel=1e-4) and relative(found[1], gradient) < 1e-3
    assert here[0] != pytest.approx(loss, rel=1e-2) and relative(here[1], gradient) > 0.1

    low, found, here = inside(model, look, sigma=0.4)  # below the reference's level there is nothing ahead
    assert found[0] == here[0] and torch.equal(found[1], here[1]) and low[0] != found[0]


def test_a_shared_prediction_is_as_good_as_one_of_its_own(model, inside, guidance, grad_scope, pack):
    """What the sampler's call predicted, kept by the way, gives the loss and gradient of a pass made for them."""
    last = pack("nodes.host.last_prediction").LastPrediction()

    def look(sampled, x, sigmas, extra_args):
        before = dict(extra_args["model_options"])
        sampled(x, sigmas[:1], **last.kept_in(extra_args))
        assert extra_args["model_options"] == before, "the options that were given are not changed"
        results = []
        for velocity in (None, velocity_from_clean(x, last.clean_at(sigmas[0]), sigmas[0])):
            with grad_scope():
                leaf = x.clone().requires_grad_()
                options = extra_args["model_options"]
                engine = guidance(model, look_ahead=True)
                loss = engine.loss_function(sampled, leaf, sigmas[0], options, None, velocity)(leaf).sum()
                results.append((loss.item(), torch.autograd.grad(loss, leaf)[0]))
        return results

    assert last.clean_at(torch.tensor(0.9)) is None
    own, shared = inside(model, look)
    assert shared[0] == pytest.approx(own[0], rel=1e-4) and relative(shared[1], own[1]) < 1e-3


def test_a_block_taken_late_would_be_noticed(model, gradient, monkeypatch, pack):
    """Trap: the host's closure over its loop variable runs the last block when it is called again."""
    expected = gradient(model, "none")
    checkpoint = pack("nodes.host.checkpoint")
    monkeypatch.setattr(checkpoint, "freeze", lambda function: function)
    wrong = gradient(model, "block")
    error = relative(wrong, expected)
    print(
        f"\nwithout freezing the gradient is wrong by {error:.1%}, its norm by {wrong.norm() / expected.norm() - 1:.1%}"
    )
    assert error > 0.01


def test_frozen_function_keeps_its_values(pack):
    freeze = pack("nodes.host.checkpoint").freeze
    late, frozen = [], []
    for i in range(3):

        def which(*, plus=0):
            return i + plus  # noqa: B023, the trap itself

        late.append(which)
        frozen.append(freeze(which))
    assert [f() for f in late] == [2, 2, 2]
    assert [f() for f in frozen] == [0, 1, 2] and frozen[0](plus=5) == 5


@pytest.mark.parametrize("checkpoint", ["none", "selective", "block"])
def test_patches_of_other_nodes_stay_in_the_pass(model, gradient, checkpoint):
    """A node that changes block 1 changes the gradient, with and without checkpointing by the same amount."""

    def halve(args, extra):
        out = extra["original_block"](args)
        return {"img": args["img"] + 0.5 * (out["img"] - args["img"])}

    other = model.clone()
    other.set_model_patch_replace(halve, "dit", "double_block", 1)
    plain, halved = gradient(model), gradient(other, checkpoint)
    assert relative(halved, plain) > 0.05
    assert relative(halved, gradient(other, "none")) < 1e-6


def test_attention_without_gradient_is_replaced(model, gradient):
    """A fast attention of another node that cuts the gradient silently does not reach the guided pass."""
    other = model.clone()
    options = other.model_options["transformer_options"]
    options["optimized_attention_override"] = lambda func, q, k, v, *a, **kw: func(
        q.detach(), k.detach(), v.detach(), *a, **kw
    )
    assert relative(gradient(other), gradient(model)) == 0


@pytest.mark.parametrize("size", ["full", "half"])
@pytest.mark.parametrize("kind", ["vace", "i2v"])
def test_other_wan_models(other_wan, sample, graph, inside, grad_scope, guidance, kind, size):
    """VACE adds blocks beside the chain, in place; image-to-video concatenates channels. Both keep the gradient."""
    model = sample(graph.loader(other_wan(kind)), want=("model", 0))
    flow = sample(graph.loader(other_wan(kind)), graph.amf(), want=("amf", 0))
    engines = [guidance(model, checkpoint, flow, size=size) for checkpoint in ("none", "selective", "block")]

    def look(sampled, x, sigmas, extra_args):
        gradients = []
        with grad_scope():
            for engine in engines:
                loss_fn = loss_function(engine, sampled, x, sigmas, extra_args)
                leaf = x.clone().requires_grad_()
                gradients.append(torch.autograd.grad(loss_fn(leaf).sum(), leaf)[0])
            direction = gradients[0] / gradients[0].norm()
            with torch.no_grad():
                up, down = (loss_fn(x + sign * 0.1 * direction).double().item() for sign in (1, -1))
        return gradients, (up - down) / 0.2

    (plain, *checked), slope = inside(model, look)
    assert all(relative(gradient, plain) < 1e-6 for gradient in checked)
    assert slope == pytest.approx(plain.norm().item(), rel=5e-3)


def test_a_weight_that_is_staged_is_copied(pack):
    """A weight in a buffer that is used again before the backward pass (DynamicVRAM of current hosts)."""
    frozen = pack("nodes.host.gradients").FrozenWeights
    gradients = []
    for copy_staged in (True, False):
        buffer = torch.full((2, 2), 3.0)
        x = torch.ones(1, 2, requires_grad=True)
        with frozen(copy_staged):
            y = torch.nn.functional.linear(x, buffer)
        buffer.data.fill_(100.0)  # as the host writes into it: autograd does not see it
        gradients.append(torch.autograd.grad(y.sum(), x)[0][0, 0].item())
    assert gradients == [6.0, 200.0]


@pytest.mark.parametrize("layer", ["layer_norm", "rms_norm"])
def test_a_norm_that_is_staged_is_copied(pack, layer):
    frozen, found = pack("nodes.host.gradients").FrozenWeights, []
    for buffer, written in ((torch.full((4,), 3.0), 100.0), (torch.full((4,), 3.0), 3.0)):
        x = torch.arange(4.0, requires_grad=True)
        with frozen(True):
            y = getattr(torch.nn.functional, layer)(x, (4,), weight=buffer)
        buffer.data.fill_(written)
        found.append(torch.autograd.grad(y[0], x)[0])
    assert torch.equal(*found) and found[0].any()


def test_inference_tensors_can_be_saved_and_weights_are_not_copied(pack):
    gradients = pack("nodes.host.gradients")
    with torch.inference_mode():
        weight, factor = torch.nn.Parameter(torch.full((2, 2), 3.0)), torch.full((2,), 5.0)
        with gradients.grad_scope():
            x = torch.ones(1, 2, requires_grad=True)
            y = torch.nn.functional.linear(x, weight) * factor
            assert torch.autograd.grad(y.sum(), x)[0].tolist() == [[30.0, 30.0]]
            assert gradients.alias(weight).data_ptr() == weight.data_ptr()
    assert weight.is_inference() and factor.is_inference()


def test_a_quantised_weight_is_used_as_what_it_stands_for(pack):
    from comfy.quant_ops import QuantizedTensor

    with torch.inference_mode():
        weight = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
        packed = QuantizedTensor.from_float(weight, "TensorCoreFP8Layout")
        layer = torch.nn.Parameter(packed, requires_grad=False)
        with pack("nodes.host.gradients").grad_scope():
            x = torch.ones(1, 16, requires_grad=True)
            gradient = torch.autograd.grad(torch.nn.functional.linear(x, layer).sum(), x)[0]
        torch.testing.assert_close(gradient[0], packed.dequantize().sum(0))


@pytest.fixture
def saved_weights(inside, grad_scope, guidance):
    """saved_weights(model, checkpoint) -> bytes of weights that autograd keeps for one gradient: (as they lie, copied).

    Told by their shape; no other tensor of the tiny model has it.
    """

    def measure(model, checkpoint="none"):
        engine, held = guidance(model, checkpoint), {}
        weights = [weight for weight in model.model.diffusion_model.parameters() if weight.ndim > 1]
        shapes = {shape for weight in weights for shape in (weight.shape, weight.shape[::-1])}
        places = {weight.untyped_storage().data_ptr() for weight in weights}

        def note(tensor):
            if tensor.shape in shapes:
                held[tensor.untyped_storage().data_ptr()] = tensor.nbytes
            return tensor

        def look(sampled, x, sigmas, extra_args):
            with grad_scope(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
                leaf = x.clone().requires_grad_()
                loss = loss_function(engine, sampled, x, sigmas, extra_args)(leaf)
                found = dict(held)  # of the forward pass; in the backward pass blocks come and go
                torch.autograd.grad(loss.sum(), leaf)
            return found

        found = inside(model, look)
        as_they_lie = sum(size for place, size in found.items() if place in places)
        return as_they_lie, sum(found.values()) - as_they_lie

    return measure


def no_weight_is_copied(saved):
    as_they_lie, copied = saved
    assert as_they_lie > 0 and copied == 0


def test_a_gradient_keeps_no_copy_of_a_weight(model, saved_weights, monkeypatch, pack):
    no_weight_is_copied(saved_weights(model))
    assert pack("nodes.host.checkpoint").copied_bytes(model, model.model.diffusion_model.blocks[:2]) == 0
    monkeypatch.setattr(pack("nodes.host.gradients"), "alias", torch.Tensor.clone)
    with pytest.raises(AssertionError):
        no_weight_is_copied(saved_weights(model))


def test_copies_that_the_host_makes_are_counted_and_not_kept_where_a_block_is_computed_again(
    sample, graph, saved_weights, pack
):
    """Weights in fp8 are used as copies in the dtype that is computed in."""
    loader = graph.loader()
    loader["model"]["inputs"]["weight_dtype"] = "fp8_e4m3fn"
    model = sample(loader, want=("model", 0))
    block = model.model.diffusion_model.blocks[0]
    assert block.ffn[0].weight.dtype == torch.float8_e4m3fn
    counted = pack("nodes.host.checkpoint").copied_bytes(model, model.model.diffusion_model.blocks[:2])
    values = sum(w.numel() for w in block.parameters())
    assert counted == 2 * 4 * values, "two blocks in float32"
    _, kept = saved_weights(model, "none")
    _, left = saved_weights(model, "selective")
    of_last = 3 * 4 * block.self_attn.q.weight.numel()  # q, k and v of the last block, which is not computed again
    # Keys and values of the prompt are in no graph.
    assert of_last <= left < 1.2 * of_last and 0.7 * counted < kept - left < counted


def test_a_copy_of_a_weight_wants_no_gradient(model, inside, grad_scope):
    """Weights of 0.3.75 do; without a stop to it, all that a copy meets is kept."""
    cast = model.clone()
    cast.set_model_compute_dtype(torch.float64)

    def look(sampled, x, sigmas, extra_args):
        with grad_scope():
            layer = sampled.inner_model.inner_model.diffusion_model.time_embedding[0]
            return layer(torch.ones(1, layer.in_features, dtype=torch.float64))

    embedded = inside(cast, look)
    assert embedded.dtype == torch.float64 and not embedded.requires_grad


@pytest.mark.parametrize("rope", ["pre", "post"])
def test_float16_models_keep_the_small_gradients_of_long_videos(
    model, sample, graph, inside, grad_scope, guidance, pack, monkeypatch, rope
):
    """A long video divides the loss by a thousand times more tokens than this one; float16 then knows only zeros."""
    sampling, scale = pack("nodes.host.attention_guidance"), pack("nodes.host.gradient_scale")
    original = sampling.attention_flow_loss
    monkeypatch.setattr(sampling, "attention_flow_loss", lambda *args, **rule: original(*args, **rule) * 1e-4)
    flow = sample(graph.loader(), graph.amf(rope=rope), want=("amf", 0))
    half = model.clone()
    half.set_model_compute_dtype(torch.float16)

    def measure(model):
        def look(sampled, x, sigmas, extra_args):
            with grad_scope():
                loss_fn = guidance(model, flow=flow).loss_function(sampled, x, sigmas[0], extra_args["model_options"])
                leaf = x.clone().requires_grad_()
                return torch.autograd.grad(loss_fn(leaf).sum(), leaf)[0]

        return inside(model, look)

    def cosine(a, b):
        a, b = a.double().flatten(), b.double().flatten()
        return (a @ b / (a.norm() * b.norm() + 1e-300)).item()

    full, scaled = measure(model), measure(half)
    assert cosine(scaled, full) > 0.99 and scaled.norm().item() == pytest.approx(full.norm().item(), rel=0.1)
    monkeypatch.setattr(scale, "LARGEST", 0.0)  # no scaling
    assert cosine(measure(half), full) < 0.9
    assert measure(model).equal(full), "in float32 a power of two changes nothing"
