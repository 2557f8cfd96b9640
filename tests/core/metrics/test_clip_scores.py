import pytest
import torch

from vmt.bench.clip_models import why_absent
from vmt.errors import InputError
from vmt.metrics.clip_scores import NAMES, clip_scores


def turned(*degrees):
    """Embeddings in a plane, of any length: only their direction counts."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    return torch.stack([angle.cos(), angle.sin()], dim=-1) * torch.arange(1, len(degrees) + 1)[:, None]


def test_known_angles():
    scores = clip_scores(turned(0, 60, 120), turned(60))
    assert scores["clip_frame_consistency"] == pytest.approx(0.5, abs=1e-6)
    # neighbours .5 and .5, the first frame .5 and -.5, which counts as 0
    assert scores["background_consistency"] == pytest.approx((0.5 + 0.25) / 2, abs=1e-6)
    assert scores["clip_text_alignment"] == pytest.approx((0.5 + 1 + 0.5) / 3, abs=1e-6)


def test_equal_frames_are_best_and_change_lowers():
    values = [clip_scores(turned(0, step, 0, step))["clip_frame_consistency"] for step in (0, 5, 20, 80)]
    assert values == sorted(values, reverse=True) and values[0] == pytest.approx(1)


def test_what_cannot_be_told_is_none():
    assert clip_scores(turned(0)) == dict.fromkeys(NAMES)
    assert clip_scores(turned(0, 1))["clip_text_alignment"] is None
    assert set(clip_scores(turned(0).half(), turned(0).half())) == set(NAMES)


def test_another_embedding_space_is_refused():
    with pytest.raises(InputError, match="5 numbers and the frames of 2"):
        clip_scores(turned(0, 1), torch.ones(1, 5))


def test_why_figures_are_absent():
    assert list(why_absent(None, None)) == list(NAMES)
    assert list(why_absent("vision", None)) == ["clip_text_alignment"]
    assert why_absent("vision", "text") == {}
