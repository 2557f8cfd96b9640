"""The few-step student: what it learns, and how it is kept."""

import pytest
import torch

from vmt.demo import few_steps
from vmt.demo.corrections import Corrections
from vmt.demo.few_steps import mean_velocity, train_few_steps
from vmt.demo.lora_file import add_lora, low_rank, save_lora
from vmt.demo.wan_dit import WanDiT, WanShape
from vmt.errors import InputError
from vmt.flow_matching import shifted_sigmas

TINY = WanShape(width=128, ffn=192, blocks=1)


@pytest.fixture
def draws():
    """Two draws in eight steps: the stretches of a run in four begin at every second."""
    generator = torch.Generator().manual_seed(0)
    x, wanted, unguided = torch.randn(3, 2, 8, 16, 3, 4, 4, generator=generator).half()
    end, shift = torch.randn(2, 2, 16, 3, 4, 4, generator=generator).half()
    sigmas = shifted_sigmas(8, few_steps.SHIFT)[:-1]
    return Corrections(x, wanted, unguided, end, shift, sigmas, torch.ones(2, 16, dtype=torch.int64))


def test_the_mean_velocity_leads_from_one_stretch_to_the_next_and_to_the_corrected_end(draws):
    levels = shifted_sigmas(few_steps.STEPS, few_steps.SHIFT).tolist()
    index, stretch = torch.tensor([0, 1, 1, 0]), torch.arange(4)
    x, sigma, velocity = mean_velocity(draws, index, stretch)
    assert sigma.tolist() == pytest.approx(levels[:-1])
    moved_by = 0
    for k, i in enumerate(index):
        assert torch.equal(x[k], draws.x[i, 2 * k].float())
        ends = x[k] + (levels[k + 1] - levels[k]) * velocity[k]
        without = draws.x[i, 2 * k + 2].float() if k < 3 else draws.end[i].float()
        part = (levels[k] - levels[k + 1]) / levels[k]  # of what is missing to the corrected clip
        torch.testing.assert_close(ends - without, part * draws.shift[i].float(), atol=1e-4, rtol=0)
        moved_by += part
    assert part == 1, "the last stretch ends in the corrected clip"


def test_the_student_learns_and_its_teacher_stays(tmp_path, draws, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    torch.manual_seed(0)
    teacher = WanDiT(TINY).eval().requires_grad_(False)
    before = {name: parameter.clone() for name, parameter in teacher.named_parameters()}
    losses = []
    with pytest.raises(TimeoutError):
        train_few_steps(tmp_path / "c", draws, teacher, 101, 3e-3, until=0)
    student = train_few_steps(tmp_path / "c", draws, teacher, 101, 3e-3, say=losses.append)
    first, last = (float(line.split("loss ")[1].split()[0]) for line in (losses[0], losses[-1]))
    assert last < 0.9 * first
    assert all(torch.equal(parameter, before[name]) for name, parameter in teacher.named_parameters())
    changed = {name for name, parameter in student.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed and not any(name.endswith("modulation") for name in changed), "no stock loader patches those"


class TestLora:
    @pytest.fixture
    def models(self):
        torch.manual_seed(0)
        before, after = WanDiT(TINY), WanDiT(TINY)
        return before, after

    def test_at_full_rank_the_file_holds_the_whole_change(self, tmp_path, models):
        before, after = models
        save_lora(before, after, 128, tmp_path / "l.safetensors", {})
        x, t, context = torch.randn(1, 16, 2, 4, 4), torch.tensor([700.0]), torch.randn(1, 5, 4096)
        for model in models:
            torch.nn.init.normal_(model.head.head.weight, std=0.05, generator=torch.Generator().manual_seed(1))
        wanted = after(x, t, context)
        assert (before(x, t, context) - wanted).abs().max() > 0.1
        torch.testing.assert_close(
            add_lora(before, tmp_path / "l.safetensors")(x, t, context), wanted, atol=0.02, rtol=0
        )

    def test_a_low_rank_keeps_the_most(self):
        matrix = torch.randn(40, 30, generator=torch.Generator().manual_seed(0))
        up, down = low_rank(matrix, 10)
        assert up.shape == (40, 10) and down.shape == (10, 30)
        left = torch.linalg.svdvals(matrix)[10:].square().sum().sqrt()
        torch.testing.assert_close((matrix - up @ down).norm(), left)

    def test_strength_nought_and_minus_one(self, tmp_path, models):
        before, after = models
        kept = {name: parameter.clone() for name, parameter in before.named_parameters()}
        save_lora(before, after, 16, tmp_path / "l.safetensors", {})
        add_lora(before, tmp_path / "l.safetensors", 0.0)
        assert all(torch.equal(parameter, kept[name]) for name, parameter in before.named_parameters())
        add_lora(add_lora(before, tmp_path / "l.safetensors", 1.0), tmp_path / "l.safetensors", -1.0)
        for name, parameter in before.named_parameters():
            torch.testing.assert_close(parameter, kept[name], atol=1e-5, rtol=0)

    def test_missing_and_foreign_files_are_refused(self, tmp_path, models):
        before, after = models
        with pytest.raises(InputError, match="no LoRA at"):
            add_lora(before, tmp_path / "l.safetensors")
        save_lora(before, after, 16, tmp_path / "l.safetensors", {})
        with pytest.raises(InputError, match="does not have: blocks"):
            add_lora(WanDiT(WanShape(width=128, ffn=192, blocks=0)), tmp_path / "l.safetensors")
