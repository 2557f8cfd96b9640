"""The table of the demo model's heads belongs to the weights that are shipped."""

from vmt.demo.sampling import load_dit
from vmt.demo.train import DIT_FILE, WEIGHTS
from vmt.lora.roles_file import find_roles, fingerprint, marking_weights


def test_the_shipped_table_is_that_of_the_shipped_weights():
    dit = load_dit(WEIGHTS / DIT_FILE)
    mark = fingerprint(marking_weights(dit.blocks))
    roles = find_roles([WEIGHTS / "heads"], mark, (dit.shape.blocks, dit.shape.heads))
    assert roles is not None, "the weights are new: run Decoupled-LoRA Tuner on them once and keep its table here"
    assert roles.temporal.any(1).all() and not roles.temporal.all(1).any()
