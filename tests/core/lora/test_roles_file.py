"""What a model's heads do, kept and drawn."""

import pytest
import torch

from vmt.errors import InputError
from vmt.lora.head_roles import assign_roles
from vmt.lora.roles_file import CLOSE, find_roles, fingerprint, read_roles, save_roles
from vmt.lora.roles_picture import SPATIAL_COLOUR, TEMPORAL_COLOUR, draw_roles

ROLES = assign_roles(torch.tensor([[0.2, 3.0], [9.0, 1.31]]), torch.tensor([[0.01, 0.02], [0.1, 0.2]]))


def weights(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(64, 64, generator=generator) * scale for scale in (0.02, 0.05)]


class TestFingerprint:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
    @pytest.mark.parametrize("spread", [0.02, 0.05, 0.1, 0.3])
    def test_number_formats_do_not_count(self, dtype, spread):
        """Nor where the weights of a norm lie close about one."""
        norms = [1 + spread * torch.randn(1536, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
        held = [*weights(), *norms]
        assert fingerprint([w.to(dtype) for w in held]) == pytest.approx(fingerprint(held), rel=CLOSE)

    def test_kept_and_found_again_by_the_model_alone(self, tmp_path):
        mark = fingerprint(weights())
        save_roles(tmp_path / "new" / "a.json", ROLES, mark, "a model")
        other = fingerprint([w * 1.02 for w in weights()])
        found = find_roles([tmp_path / "none", tmp_path / "new"], mark, (2, 2))
        assert torch.equal(found.temporal, ROLES.temporal)
        torch.testing.assert_close(found.ratio, ROLES.ratio)
        assert find_roles([tmp_path / "new"], other, (2, 2)) is None
        assert find_roles([tmp_path / "new"], mark, (2, 3)) is None
        assert find_roles([tmp_path / "new"], mark[:1], (2, 2)) is None

    @pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"ratio": "x", "error": 1, "fingerprint": []}'])
    def test_refuses_what_is_no_table(self, tmp_path, text):
        (tmp_path / "b.json").write_text(text)
        with pytest.raises(InputError, match=r"b.json cannot be read as a table of attention heads .* Delete it"):
            read_roles(tmp_path / "b.json")

    def test_a_damaged_table_does_not_hide_the_others(self, tmp_path, caplog):
        mark = fingerprint(weights())
        (tmp_path / "a.json").write_text("no json")
        save_roles(tmp_path / "b.json", ROLES, mark, "a model")
        assert torch.equal(find_roles([tmp_path], mark, (2, 2)).temporal, ROLES.temporal)
        assert f"{tmp_path / 'a.json'} cannot be read" in caplog.text


def test_picture_has_a_square_for_each_head():
    picture = draw_roles(ROLES)
    assert picture.ndim == 4 and picture.shape[0] == 1 and picture.min() >= 0 and picture.max() <= 1
    corners = (picture[0, [36, 36, 70, 70], [36, 70, 36, 70]] * 255).round()
    hues = [bool(corner[0] > corner[2]) for corner in corners]  # orange has more red than blue
    assert hues == ROLES.temporal.flatten().tolist()
    assert TEMPORAL_COLOUR[0] > TEMPORAL_COLOUR[2] and SPATIAL_COLOUR[0] < SPATIAL_COLOUR[2]
