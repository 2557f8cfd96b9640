"""Mixtures of two ways of one thing, and what is learned of them."""

from random import Random

import pytest
import torch

from vmt.demo import agreement
from vmt.demo.agreement import Ways, agreed_velocity, draw_share, make_ways, train_agreement
from vmt.demo.train_dit import noised
from vmt.demo.wan_dit import WanDiT, WanShape
from vmt.demo.wan_vae import WanVAE
from vmt.synthetic.sample import is_held_out, sample_scene, sample_way


class TestWays:
    def test_only_the_way_differs(self):
        rng = Random("ways of a test")
        for _ in range(20):
            scene = sample_scene(rng, "single")
            other = sample_way(rng, scene)
            thing, moved = scene.objects[0], other.objects[0]
            assert other.caption == scene.caption and other.ground == scene.ground
            assert (thing.size, thing.angle[0]) == (moved.size, moved.angle[0])
            assert not torch.equal(thing.centre, moved.centre)
            assert not is_held_out(moved.colour, moved.shape, other.ground.colour, moved.motion)

    def test_made_once(self, tmp_path, monkeypatch):
        monkeypatch.setattr(agreement, "SHARD", 1)
        torch.manual_seed(0)
        vae, said = WanVAE(4), []
        with pytest.raises(TimeoutError, match="run the command again"):
            make_ways(tmp_path, vae, 2, say=said.append, until=0)
        ways = make_ways(tmp_path, vae, 2, say=said.append)
        assert len(said) == 2 and "2/2" in said[1]
        assert ways.latents.shape == (2, agreement.WAYS, 16, 9, 16, 16) and ways.words.shape == (2, 16)
        assert (ways.latents[:, 0] != ways.latents[:, 1]).any()
        again = make_ways(tmp_path, vae, 2, say=lambda _: pytest.fail("they are there"))
        assert torch.equal(again.latents, ways.latents)


class TestShare:
    def test_the_larger_part_is_the_larger(self):
        torch.manual_seed(0)
        share = draw_share(500, 9)
        assert share.shape == (500, 9) and share.min() >= 0 and share.max() <= 1
        assert (share.mean(1) >= 0.5).all()

    def test_some_turn_and_some_stay(self):
        torch.manual_seed(0)
        share = draw_share(500, 9)
        turns = (share > 0.7).any(1) & (share < 0.3).any(1)
        assert 0.2 < turns.float().mean() < 0.8
        even = share.amax(1) - share.amin(1) < 0.3
        assert even.float().mean() > 0.05


class TestAgreedVelocity:
    def test_leads_where_the_larger_part_leads(self):
        torch.manual_seed(0)
        larger, mixed, noise = torch.randn(3, 2, 16, 3, 4, 4).double()
        sigma = torch.tensor([0.5, 0.95]).double()

        def said(x, levels, context):
            assert torch.equal(x, noised(larger, noise, sigma)) and levels is sigma
            return noise - 0.3 * larger

        x, velocity = agreed_velocity(said, larger, mixed, noise, sigma, None)
        level = sigma.view(-1, 1, 1, 1, 1)
        torch.testing.assert_close(x, noised(mixed, noise, sigma))
        own = noised(larger, noise, sigma)
        torch.testing.assert_close(x - level * velocity, own - level * said(own, sigma, None))

    def test_of_the_data_it_is_what_is_said(self):
        clean, noise, sigma = torch.randn(2, 16, 3, 4, 4), torch.randn(2, 16, 3, 4, 4), torch.tensor([0.5, 0.9])
        _, velocity = agreed_velocity(lambda x, *_: 2 * x, clean, clean, noise, sigma, None)
        torch.testing.assert_close(velocity, 2 * noised(clean, noise, sigma))


def test_a_step_learns_mixtures_of_two_ways_and_stays_on_the_data(tmp_path, monkeypatch):
    """Ways are told by their value, 1 to 3, the data by 0; what is predicted of the mixtures is known to be theirs."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(agreement, "fit", lambda name, path, dit, batch, *_: [batch() for _ in range(20)])
    torch.manual_seed(0)
    dit = WanDiT(WanShape(width=128, ffn=128, blocks=1))  # new: it says 0 of everything
    latents = torch.arange(1.0, 1 + agreement.WAYS).view(1, -1, 1, 1, 1, 1).expand(4, -1, 16, 9, 4, 4).half()
    ways = Ways(latents, torch.full((4, 16), 5))
    clips = torch.zeros(2, 16, 9, 4, 4).half(), torch.full((2, 16), 7)
    steps = train_agreement(tmp_path / "c", ways, clips, dit, steps=20, lr=1e-3)
    larger = torch.stack([step.x - step.sigma.view(-1, 1, 1, 1, 1) * step.target for step in steps])
    mixtures, data = larger.split([agreement.MIXED, agreement.DATA], 1)
    sigma = torch.stack([step.sigma for step in steps])
    assert ((sigma > agreement.LOWEST) & (sigma < 1)).all()
    # Where nothing is said a velocity leads to x itself, so what is left is (1 - sigma) way + sigma noise.
    ways_seen = mixtures.mean((2, 3, 4, 5)) / (1 - sigma[:, : agreement.MIXED])
    sure = sigma[:, : agreement.MIXED] < 0.7
    assert sure.sum() > 10
    assert {round(value) for value in ways_seen[sure].tolist()} == {1, 2, 3}
    assert data.mean((2, 3, 4, 5)).abs().max() < 0.1
    assert all(torch.equal(step.target[agreement.MIXED :], torch.zeros_like(data[0])) for step in steps)
    assert all((step.target[: agreement.MIXED] != 0).any() for step in steps)
    texts = torch.cat([step.context for step in steps])
    null = (texts == agreement.embed(torch.zeros(16, dtype=torch.int64))).all(-1).all(-1)
    assert null.float().mean() == pytest.approx(agreement.NULL_SHARE, abs=0.12)
