"""Whether attention is told from blind by the reference alone."""

from dataclasses import replace

import pytest
import torch

from vmt.errors import InputError
from vmt.guidance.trust import agreement, attention_trust, coherence, moves_whole, spread
from vmt.signals.attention_flow import AttentionFlow, AttentionFlowConfig, BlockFlow
from vmt.signals.frame_pairs import frame_pairs
from vmt.signals.latent_flow import LatentFlow, extract_latent_flow
from vmt.token_grid import TokenGrid

CONFIG = AttentionFlowConfig()
PAIRS = frame_pairs(5, CONFIG.span)


def noise(*size, seed=0):
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def camera(side):
    """(P,side,side,2): every pair pans and zooms by its own measure."""
    line = torch.linspace(-1, 1, side)
    places = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1)
    return noise(len(PAIRS), 1, 1, 2) + noise(len(PAIRS), 1, 1, 1, seed=1) * places


def thing(side):
    """A quarter of the frame moves, every pair its own way, and the rest stands."""
    moved = torch.zeros(len(PAIRS), side, side, 2)
    moved[:, : side // 2, : side // 2] = noise(len(PAIRS), 1, 1, 2)
    return moved


def flow(seen, latent, side=8):
    """An AMF whose one block reads `seen` both ways, beside a latent flow."""
    moved = seen.flatten(1, 2)
    centres = torch.zeros(moved.shape, dtype=torch.int16)
    block = BlockFlow(centres, moved, torch.ones(moved.shape[:2]), centres, -moved)
    grid = TokenGrid(5, side, side)
    beside = None if latent is None else LatentFlow(grid, CONFIG, PAIRS, latent, torch.ones(latent.shape[:3]))
    return AttentionFlow(grid, CONFIG, PAIRS, {0: block}, "pre", 0.5, "model", beside)


def test_only_the_chosen_blocks_are_asked():
    blind, seeing = flow(torch.zeros(len(PAIRS), 8, 8, 2), camera(16)), flow(camera(8), camera(16))
    both = replace(seeing, blocks={0: blind.blocks[0], 2: seeing.blocks[0]})
    assert attention_trust(both.of_blocks((0,))) == 0 < attention_trust(both) <= attention_trust(both.of_blocks([2]))
    assert both.of_blocks(None) is both and attention_trust(both.of_blocks([2])) == 1
    with pytest.raises(InputError, match=r"Blocks \[1\] were asked for, the AMF was taken on blocks \[0, 2\]"):
        both.of_blocks([1, 2])


def test_what_attention_sees_it_guides():
    assert attention_trust(flow(camera(8), camera(16))) == 1
    assert attention_trust(flow(thing(8), thing(16))) == 1


def test_a_camera_that_attention_does_not_see_is_left_to_the_latent():
    assert attention_trust(flow(torch.zeros(len(PAIRS), 8, 8, 2), camera(16))) == 0
    assert attention_trust(flow(noise(len(PAIRS), 8, 8, 2, seed=3), camera(16))) < 0.2
    assert attention_trust(flow(-camera(8), camera(16))) == 0, "the way that a window leans under a zoom"


def test_a_latent_that_shows_nothing_of_one_piece_does_not_silence_attention():
    assert attention_trust(flow(thing(8), noise(len(PAIRS), 16, 16, 2, seed=4))) == 1
    assert attention_trust(flow(thing(8), torch.zeros(len(PAIRS), 16, 16, 2))) == 1


def test_what_moves_in_a_small_part_of_the_frame_is_no_camera():
    assert attention_trust(flow(torch.zeros(len(PAIRS), 8, 8, 2), thing(16))) == 1


def test_whether_the_whole_frame_moves():
    blind = torch.zeros(len(PAIRS), 8, 8, 2)
    pan = torch.tensor([1.0, -2.0]).expand(len(PAIRS), 16, 16, 2)
    assert moves_whole(flow(blind, pan).latent) == 1
    assert moves_whole(flow(blind, thing(16)).latent) == 0 == moves_whole(None)


def test_in_between_it_counts_in_part():
    part = 0.35 * camera(8) + noise(len(PAIRS), 8, 8, 2, seed=5)
    assert 0 < attention_trust(flow(part, camera(16))) < 1


def test_at_half_size_what_is_seen_there_counts():
    whole = flow(camera(8), camera(16))
    blind = replace(whole, half=flow(torch.zeros(len(PAIRS), 4, 4, 2), None, side=4))
    assert attention_trust(blind) == 1 and attention_trust(blind, half=True) == 0
    assert attention_trust(whole, half=True) == 1, "not looked at at half size"
    assert attention_trust(flow(camera(8), None)) == 1


@pytest.mark.parametrize("size", [(3, 8, 8), (9, 16, 16), (9, 60, 104)])
def test_the_latent_flow_of_noise_is_no_camera(size):
    grid = TokenGrid.from_latent_shape((1, 16, *size))
    of_noise = [extract_latent_flow(noise(1, 16, *size, seed=seed), grid, CONFIG) for seed in range(3)]
    assert max(coherence(flow.displacement) for flow in of_noise) < 0.1


def test_coherence_and_agreement():
    assert coherence(camera(16)) == pytest.approx(1, abs=1e-6)
    assert coherence(noise(len(PAIRS), 16, 16, 2)) == 0 == coherence(torch.zeros(2, 16, 16, 2))
    assert coherence(camera(7)) == 0, "too few places to tell a camera from chance"
    a = camera(8)
    assert agreement(a, 3 * a) == pytest.approx(1) and agreement(a, -a) == pytest.approx(-1)
    assert agreement(a, 0 * a) == 0


def test_spread():
    assert spread(torch.ones(3, 8, 8, 2)) == pytest.approx(1) and spread(thing(16)) == pytest.approx(0.25)
    assert spread(torch.zeros(3, 8, 8, 2)) == 0
    assert spread(torch.cat([thing(16), torch.zeros(9, 16, 16, 2)])) == pytest.approx(0.25), "pairs that stand"
    assert 0.5 < spread(camera(16)) < 1
