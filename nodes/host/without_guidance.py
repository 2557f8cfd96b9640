"""The model as it is, whatever of this pack stands before it on the MODEL line."""

from comfy.patcher_extension import WrappersMP

from .guided_sampling import KEY as GUIDANCE
from .key_value_injection import KEY as INJECTION


def without_guidance(patcher):
    """A clone without motion guidance and key value injection, for passes that must see the model as it is."""
    plain = patcher.clone()
    for kind in (WrappersMP.OUTER_SAMPLE, WrappersMP.PREPARE_SAMPLING, WrappersMP.SAMPLER_SAMPLE):
        for key in (GUIDANCE, INJECTION):
            plain.remove_wrappers_with_key(kind, key)
    return plain
