"""The named motions: enough of them, each within the frame, and each what its name says."""

from random import Random

import pytest
import torch

from vmt.bench import pairs
from vmt.bench.motions import CATEGORIES, MOTIONS, Motion, motions_of, until
from vmt.errors import InputError

ROOM = ((20.0, 107.0), (20.0, 107.0))
STEPS = {"right": (0, 1), "down": (1, 0), "left": (0, -1), "up": (-1, 0)}


def motion(name: str) -> Motion:
    return next(m for category in CATEGORIES for m in MOTIONS[category] if m.name == name)


def draw(name: str, seed: int):
    found, rng = motion(name), Random(seed)
    return {
        "camera": lambda: found.draw(rng, 33, 128.0),
        "single_object": lambda: found.draw(rng, ROOM, 33),
        "multiple_objects": lambda: found.draw(rng, 33),
        "complex_motion": lambda: found.draw(rng, "red", 33, 128, 128).bones,
    }[found.category]()


def net(path: torch.Tensor) -> torch.Tensor:
    return path[-1] - path[0]


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_category_has_many_and_some_that_training_never_shows(category):
    found = motions_of(category)
    assert len(found) >= 25 and len({m.name for m in found}) == len(found)
    assert 6 <= sum(m.unseen for m in found) <= len(found) - 6
    assert all(m.category == category for m in found)


def test_unknown_category_is_refused():
    with pytest.raises(InputError, match="single_object"):
        motions_of("dance")


def test_what_never_fits_is_told():
    with pytest.raises(InputError, match="10000 draws"):
        until(lambda drawn: False, lambda: 0)


@pytest.mark.parametrize("seed", range(6))
class TestDirections:
    @pytest.mark.parametrize("way", STEPS)
    @pytest.mark.parametrize("family", ["line", "accelerate", "stop", "zigzag", "stop_and_go"])
    def test_objects(self, family, way, seed):
        step = net(draw(f"{family} {way}", seed))
        assert step @ torch.tensor(STEPS[way]).float() > 0.6 * step.norm()

    def test_diagonal(self, seed):
        down, right = net(draw("line down right", seed))
        assert down > 0 and right > 0 and 0.4 < down / right < 2.5

    def test_sense_of_turning(self, seed):
        """On the screen: clockwise goes from up to right."""
        for family in ("orbit", "round_the_corners"):
            for sense, sign in (("clockwise", 1), ("anticlockwise", -1)):
                path = draw(f"{family} {sense}", seed)
                out = path - path.mean(0)
                area = (out[:-1, 1] * out[1:, 0] - out[:-1, 0] * out[1:, 1]).sum()  # rows go down
                assert sign * area > 0, (family, sense)

    def test_swings_along_their_axis(self, seed):
        for way, (row, column) in (("right", (0, 1)), ("down", (1, 0))):
            spread = draw(f"swing {way}", seed).std(0)
            assert (spread * torch.tensor([row, column])).sum() > 2 * (spread * torch.tensor([column, row])).sum()

    @pytest.mark.parametrize("way", STEPS)
    def test_pans(self, way, seed):
        """The way the picture shifts on the screen."""
        slow, fast = (net(draw(f"pan {way} {pace}", seed)[..., 2]) for pace in ("slow", "fast"))
        for step in (slow, fast):
            assert step @ torch.tensor(STEPS[way]).float() > 0.9 * step.norm()
        assert slow.norm() < 0.45 * 128 < fast.norm()

    def test_zooms_and_rolls(self, seed):
        point = torch.tensor([-10.0, 0.0])  # above the centre
        for side, sign in (("in", 1), ("out", -1)):
            camera = draw(f"zoom {side} fast", seed)[..., :2]
            assert sign * ((camera[-1] @ point).norm() - (camera[0] @ point).norm()) > 0
        for sense, sign in (("clockwise", 1), ("anticlockwise", -1)):
            camera = draw(f"roll {sense} slow", seed)[..., :2]
            assert sign * (camera[-1] @ point)[1] > 0  # what was above goes to the right

    def test_figures(self, seed):
        for side, sign in (("right", 1), ("left", -1)):
            assert sign * net(draw(f"walk {side} brisk", seed)[:, 1, 0])[1] > 30
            moved = (draw(f"kick {side} slow", seed)[:, [7, 9], 1]).std(0).norm(dim=-1)
            assert sign * (moved[1] - moved[0]) > 0
            hands = draw(f"walk_and_wave left with the {side} slow", seed)[:, [3, 5], 1, 0].mean(0)
            assert sign * (hands[0] - hands[1]) > 0  # that hand is the higher one

    def test_pairs(self, seed):
        for way, step in STEPS.items():
            first, second = draw(f"opposite {way}", seed)
            assert net(first) @ torch.tensor(step).float() > 1.5
            torch.testing.assert_close(net(first), -net(second))
        still = draw("one_still up", seed)[1]
        assert torch.equal(still, still[:1].expand_as(still))


@pytest.mark.parametrize("name", [m.name for m in MOTIONS["multiple_objects"]])
def test_pairs_stay_in_their_square_and_do_not_jump(name):
    for seed in range(6):
        for path in draw(name, seed):
            assert path.shape == (33, 2) and path.abs().max() <= 1 + 1e-6
            assert path.diff(dim=0).norm(dim=-1).max() < 0.25


def test_turning_a_pair_by_four_quarters_leaves_it():
    paths = draw("crossing right", 0)
    for a, b in zip(pairs.turned(pairs.turned(paths, 3), 1), paths, strict=True):
        assert torch.equal(a, b)
