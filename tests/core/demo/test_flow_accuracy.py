import pytest
import torch

from vmt.demo.flow_accuracy import one_step_on


@pytest.mark.parametrize("to", [0.9, 0.5, 0.0])
def test_a_step_of_a_model_that_is_right_ends_at_the_clip_of_that_level(to):
    clean, noise = torch.randn(2, 1, 16, 2, 4, 4, generator=torch.Generator().manual_seed(0))

    def dit(x, timestep, context):
        assert timestep.tolist() == [pytest.approx(940)] and context.shape[0] == 1
        return noise - clean

    ahead = one_step_on(dit, torch.lerp(clean, noise, 0.94), 0.94, to, "a red circle")
    torch.testing.assert_close(ahead, torch.lerp(clean, noise, to))
