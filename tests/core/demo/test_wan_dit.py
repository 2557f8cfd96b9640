import pytest
import torch

from vmt.demo.wan_dit import WanDiT, WanShape, rope_angles, rotate

TINY = WanShape(width=256, ffn=256, blocks=2)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def dit():
    torch.manual_seed(0)
    dit = WanDiT(TINY)
    with torch.no_grad():
        for name, parameter in dit.named_parameters():  # the head and each block's outputs start at zero
            if name.endswith(("o.weight", "ffn.2.weight", "head.head.weight")):
                parameter.normal_(std=0.03)
    return dit.eval().requires_grad_(False)


def test_velocity_has_the_latents_shape(dit):
    for shape in ((2, 16, 3, 4, 6), (1, 16, 1, 2, 2), (1, 16, 5, 8, 8)):
        velocity = dit(normal(*shape), torch.full((shape[0],), 500.0), normal(shape[0], 16, 4096))
        assert velocity.shape == shape and torch.isfinite(velocity).all() and velocity.std() > 0


def test_new_model_predicts_nothing():
    assert (
        WanDiT(WanShape(128, 128, 1))(normal(1, 16, 1, 4, 4), torch.tensor([500.0]), normal(1, 16, 4096)) == 0
    ).all()


def test_clips_of_a_batch_do_not_see_each_other(dit):
    x, time, text = normal(3, 16, 2, 4, 4), torch.tensor([100.0, 500.0, 900.0]), normal(3, 16, 4096, seed=1)
    together = dit(x, time, text)
    for i in range(3):
        torch.testing.assert_close(
            dit(x[i : i + 1], time[i : i + 1], text[i : i + 1])[0], together[i], atol=1e-5, rtol=0
        )


@pytest.mark.parametrize(
    "narrowed, reach, reached",
    [
        ((0, 1), 0, [False, True, False, False, False]),
        ((0,), 0, [True] * 5),
        ((0, 1), 1, [True, True, True, True, False]),  # a frame away in each of the two blocks
        ((1,), 1, [True] * 5),
        ((), 0, [True] * 5),
    ],
)
def test_narrowed_attention_reaches_so_many_frames(dit, narrowed, reach, reached):
    """A change of frame 1 is seen within the reach of both blocks, and everywhere if one of them is not narrowed."""
    x, context, time = torch.randn(1, 16, 5, 4, 4), torch.randn(1, 2, 4096), torch.tensor([500.0])
    other = x.clone()
    other[:, :, 1] += 1
    change = (dit(other, time, context, narrowed, reach) - dit(x, time, context, narrowed, reach)).abs()
    assert (change.amax((0, 1, 3, 4)) > 1e-6).tolist() == reached


def test_time_and_text_matter(dit):
    x, time, text = normal(1, 16, 2, 4, 4), torch.tensor([500.0]), normal(1, 16, 4096, seed=1)
    base = dit(x, time, text)
    assert (dit(x, time + 100, text) - base).abs().max() > 1e-4
    assert (dit(x, time, normal(1, 16, 4096, seed=2)) - base).abs().max() > 1e-4
    swapped = text[:, torch.randperm(16, generator=torch.Generator().manual_seed(0))]
    torch.testing.assert_close(dit(x, time, swapped), base, atol=1e-5, rtol=0)  # words have no order of their own


def test_patches_come_back_where_they_were_taken():
    """With an identity in place of the blocks, each token's output lands on its own 2x2 patch."""
    dit = WanDiT(WanShape(128, 128, 0))
    x = torch.zeros(1, 16, 3, 8, 8)
    x[0, :, 1, 4:6, 2:4] = 5.0
    with torch.no_grad():
        dit.head.head.weight.normal_()
        velocity = dit(x, torch.tensor([0.0]), torch.zeros(1, 16, 4096))
        background = dit(x * 0, torch.tensor([0.0]), torch.zeros(1, 16, 4096))
    touched = (velocity - background).abs().amax((0, 1)) > 1e-4
    expected = torch.zeros(3, 8, 8, dtype=torch.bool)
    expected[1, 4:6, 2:4] = True
    assert torch.equal(touched, expected)


class TestRope:
    def test_layout(self):
        angles = rope_angles(3, 4, 5, 128)
        assert angles.shape == (60, 64)
        token = 2 * 20 + 3 * 5 + 4  # frame 2, row 3, column 4
        # 44 channels of time, 42 of rows, 42 of columns; the fastest pair of each turns by one radian per place.
        assert angles[token, 0] == 2 and angles[token, 22] == 3 and angles[token, 43] == 4
        assert angles[token, 21] == pytest.approx(2 / 10000 ** (42 / 44)) and (angles[0] == 0).all()

    def test_rotation_keeps_lengths(self):
        x, angles = normal(2, 60, 3, 128), rope_angles(3, 4, 5, 128)
        turned = rotate(x, angles)
        pairs = (x.unflatten(-1, (-1, 2)).norm(dim=-1), turned.unflatten(-1, (-1, 2)).norm(dim=-1))
        torch.testing.assert_close(*pairs)
        torch.testing.assert_close(rotate(turned, -angles), x, atol=1e-5, rtol=0)

    def test_only_differences_of_places_matter(self):
        q, k = normal(1, 1, 1, 128), normal(1, 1, 1, 128, seed=1)
        angles = rope_angles(4, 6, 6, 128).view(4, 6, 6, 64)

        def product(a, b):
            return (rotate(q, angles[a][None]) * rotate(k, angles[b][None])).sum()

        torch.testing.assert_close(product((0, 1, 2), (1, 3, 1)), product((2, 3, 4), (3, 5, 3)), atol=1e-4, rtol=0)
        assert (product((0, 1, 2), (1, 3, 1)) - product((0, 1, 2), (1, 3, 2))).abs() > 1e-3

    def test_half_precision_is_rotated_in_float32(self):
        x, angles = normal(1, 60, 2, 128).bfloat16(), rope_angles(3, 4, 5, 128)
        assert rotate(x, angles).dtype == torch.bfloat16
        torch.testing.assert_close(rotate(x, angles), rotate(x.float(), angles).bfloat16())


def test_new_attention_prefers_neighbours():
    dit = WanDiT(WanShape(128, 128, 1))
    attention, angles = dit.blocks[0].self_attn, rope_angles(1, 8, 8, 128)
    x = normal(1, 64, 128)
    with torch.no_grad():
        q, k = (rotate(n(p(x)).unflatten(-1, (1, 128)), angles)[0, :, 0] for n, p in
                ((attention.norm_q, attention.q), (attention.norm_k, attention.k)))  # fmt: skip
    weights = (q @ k.T / 128**0.5).softmax(-1)[3 * 8 + 4].view(8, 8)
    near = weights[2:5, 3:6].sum()
    assert near > 2 * 9 / 64
