"""Where tokens of a clip that was made smaller sit in the whole one."""

import pytest
import torch

from vmt.demo.wan_dit import rope_angles
from vmt.errors import InputError
from vmt.half_size import half_clean
from vmt.lora.positions import Positions, frame_scale, half_positions
from vmt.token_grid import TokenGrid


@pytest.mark.parametrize(
    "full, sparse, factor", [(81, 17, 5.0), (33, 9, 4.0), (33, 17, 2.0), (81, 81, 1.0), (33, 1, 1.0)]
)
def test_latent_frames_sit_where_the_full_clip_has_them(full, sparse, factor):
    """Rotations of the sparse clip's latent frames are exactly those of their counterparts in the full clip."""
    assert frame_scale(full, sparse) == factor
    num = (sparse - 1) // 4 + 1
    whole = rope_angles((full - 1) // 4 + 1, 2, 3, 128).view(-1, 6, 64)
    places = torch.arange(num) * factor
    taken = rope_angles(1, 2, 3, 128).view(1, 6, 64).repeat(num, 1, 1)
    time = 128 - 4 * (128 // 6)
    angles = places[:, None].double() / 10000 ** (torch.arange(0, time, 2).double() / time)
    taken[..., : time // 2] = angles[:, None].float()
    assert torch.equal(taken, whole[places.long()])


def test_other_factors():
    assert frame_scale(81, 17, "tokens") == 21 / 5
    assert frame_scale(81, 17, "none") == 1


def test_tokens_of_half_a_clip_sit_in_the_middle_of_those_that_they_stand_for():
    whole, half = TokenGrid(1, 6, 8), TokenGrid(1, 3, 4)
    middles = half_clean(whole.positions().T.reshape(1, 2, 1, 6, 8)).reshape(2, -1).T
    told = half_positions(4.0)
    assert told.scale_t == 4 and torch.equal(half.positions() * told.scale + told.shift, middles)


@pytest.mark.parametrize(("rope", "told"), [("tokens", Positions(3.0, 2.0, 0.0)), ("none", Positions(3.0))])
def test_other_places(rope, told):
    assert half_positions(3.0, rope) == told


def test_an_unknown_rope_is_refused():
    for call in (lambda: half_positions(rope="middle"), lambda: frame_scale(9, 5, "middle")):
        with pytest.raises(InputError, match="middle"):
            call()
