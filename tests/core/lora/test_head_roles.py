"""Which heads look within a frame and which across time."""

import pytest
import torch

from vmt.errors import InputError, StateError, UnsupportedModelError
from vmt.lora.head_roles import assign_roles, band_shares, head_ratio
from vmt.token_grid import TokenGrid

GRID = TokenGrid(4, 3, 5)


def made(kind, grid=GRID, heads=2, depth=40, sharpness=6.0):
    """q and k of which each token finds its own frame ("frame") or its own place ("place") again."""
    generator = torch.Generator().manual_seed(3)
    frames, places = (torch.randn(n, depth, generator=generator) for n in (grid.frames, grid.per_frame))
    tokens = torch.arange(grid.num_tokens)
    x = frames[tokens // grid.per_frame] if kind == "frame" else places[tokens % grid.per_frame]
    x = sharpness * torch.nn.functional.normalize(x, dim=-1)
    return x[:, None].expand(-1, heads, -1)


class TestBands:
    def test_against_whole_maps_in_float64(self):
        """As the public code has it: one band, of the map and of the map in the order of places."""
        torch.manual_seed(0)
        q, k = torch.randn(2, GRID.num_tokens, 3, 8)
        rows = torch.arange(GRID.num_tokens)
        spatial, temporal = band_shares(q, k, GRID, rows)
        weight = torch.einsum("qnd,knd->nqk", q.double(), k.double()).mul(8**-0.5).softmax(-1)
        S, F = GRID.per_frame, GRID.frames
        band = (rows[:, None] - rows).abs() < S
        order = rows.view(F, S).T.flatten()  # token numbers, places first
        moved = weight[:, order][:, :, order]
        torch.testing.assert_close(spatial.T, (weight * band).sum(-1).float())
        torch.testing.assert_close(temporal.T[:, order], (moved * band).sum(-1).float())

    def test_bands_have_the_same_area(self):
        even = torch.zeros(GRID.num_tokens, 1, 4)
        spatial, temporal = band_shares(even, even, GRID, torch.arange(GRID.num_tokens))
        torch.testing.assert_close(spatial.sum(), temporal.sum())

    def test_in_parts_as_in_one(self, monkeypatch):
        torch.manual_seed(0)
        q, k = torch.randn(2, GRID.num_tokens, 3, 8)
        rows = torch.randperm(GRID.num_tokens)[:20]
        whole = band_shares(q, k, GRID, rows)
        monkeypatch.setattr("vmt.lora.head_roles.SCORES", 1)
        torch.testing.assert_close(band_shares(q, k, GRID, rows), whole)


class TestRatio:
    @pytest.mark.parametrize("kind, above", [("frame", False), ("place", True)])
    def test_a_head_is_what_it_looks_at(self, kind, above):
        x = made(kind)
        ratio, error = head_ratio(x, x, GRID)
        assert ratio.shape == error.shape == (2,)
        assert ((ratio > 1.3) == above).all(), ratio

    def test_the_error_is_that_of_drawing_rows(self):
        torch.manual_seed(0)
        grid = TokenGrid(5, 8, 8)
        q, k = torch.randn(2, grid.num_tokens, 2, 16) * 2
        exact, _ = head_ratio(q, k, grid, rows=grid.num_tokens)
        drawn = [head_ratio(q, k, grid, rows=40, seed=seed) for seed in range(60)]
        off = torch.stack([ratio - exact for ratio, _ in drawn]) / torch.stack([error for _, error in drawn])
        assert 0.6 < off.std() < 1.5  # a little below 1: rows are drawn without repetition

    def test_refuses_one_frame_and_nan(self):
        with pytest.raises(InputError, match=r"1 latent frame; .* at least 2"):
            head_ratio(torch.zeros(4, 2, 8), torch.zeros(4, 2, 8), TokenGrid(1, 2, 2))
        broken = torch.full((GRID.num_tokens, 2, 8), float("nan"))
        with pytest.raises(StateError, match="NaN"):
            head_ratio(broken, broken, GRID)


class TestRoles:
    def test_by_threshold(self):
        ratio = torch.tensor([[0.5, 1.29, 1.31, 4.0]])
        assert assign_roles(ratio, ratio).temporal.tolist() == [[False, False, True, True]]

    @pytest.mark.parametrize("ratio", [[2.0, 3.0, 1.5], [0.1, 0.3, 0.2], [1.3, 1.3, 1.3]])
    def test_every_block_has_both_kinds(self, ratio):
        roles = assign_roles(torch.tensor([ratio]), torch.zeros(1, 3))
        assert 1 <= int(roles.temporal.sum()) <= 2
        if len(set(ratio)) == 3:
            assert roles.temporal[0, ratio.index(max(ratio))] and not roles.temporal[0, ratio.index(min(ratio))]

    def test_one_head_cannot_be_shared_out(self):
        with pytest.raises(UnsupportedModelError, match="1 attention head; two are needed"):
            assign_roles(torch.ones(2, 1), torch.ones(2, 1))
