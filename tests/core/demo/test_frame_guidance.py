"""Frame guidance: what the whole model says beyond the narrowed one and the null prompt, at high noise only."""

import pytest
import torch

from vmt.demo.frame_guidance import FrameGuidance, Narrowing

NULL, CAPTION = torch.zeros(2, 4), torch.ones(2, 4)
SIGMA = torch.tensor([1.0, 0.6, 0.2])
GUIDANCE = FrameGuidance((Narrowing((2,), 0, 2.0), Narrowing((0, 1), 1, 0.5)), full=0.8, lowest=0.4, cfg=4.0)
SAID = {((), 0): 3.0, ((2,), 0): 1.0, ((0, 1), 1): 2.0}  # velocity under a caption


def model(x, timestep, context, narrowed=(), reach=0):
    assert torch.equal(timestep, 1000 * SIGMA)
    captioned = context.flatten(1).any(1).view(-1, 1, 1, 1, 1)
    return torch.where(captioned, SAID[narrowed, reach], 2.5).expand_as(x)


def learned(*texts):
    x = torch.zeros(3, 16, 2, 4, 4)
    velocity = GUIDANCE.velocity(model, x, SIGMA, torch.stack(texts), NULL)
    assert velocity.dtype == torch.float32 and velocity.shape == x.shape
    return velocity[:, 0, 0, 0, 0]


def test_share_falls_from_one_to_nothing():
    sigma = torch.tensor([1.0, 0.8, 0.6, 0.4, 0.0])
    torch.testing.assert_close(GUIDANCE.share_at(sigma), torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0]))


def test_the_null_prompt_is_left_as_it_is():
    assert torch.equal(learned(NULL, NULL, NULL), torch.full((3,), 2.5))


def test_sampling_what_is_learned_with_its_scale_is_guided_sampling():
    """u + cfg (w' - u) is w + share ((cfg - 1) (w - u) + sum of strength (w - narrowed)): plain w at low noise."""
    null, wanted = learned(NULL, NULL, NULL), learned(CAPTION, CAPTION, CAPTION)
    full = 3 * 0.5 + 2.0 * (3 - 1) + 0.5 * (3 - 2)
    torch.testing.assert_close(null + 4 * (wanted - null), 3 + torch.tensor([1.0, 0.5, 0.0]) * full)


@pytest.mark.parametrize("captioned", [0, 1, 2])
def test_each_clip_is_guided_for_itself(captioned):
    texts = [CAPTION if i == captioned else NULL for i in range(3)]
    alone, all_three, none = learned(*texts), learned(CAPTION, CAPTION, CAPTION), learned(NULL, NULL, NULL)
    for i in range(3):
        assert alone[i] == (all_three if i == captioned else none)[i]
