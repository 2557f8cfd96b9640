"""Room on the device for comparing queries and keys outside a run of the model, whose memory the host sees to."""

from collections.abc import Mapping

import comfy.model_management
import torch
from torch import Tensor

from ...vmt.signals.matching import MEMORY_LIMIT


def device_with_room(queries: Mapping[int, Tensor]) -> torch.device:
    """The host's device, on which it has freed memory for queries and keys of the largest block and their scores."""
    device = comfy.model_management.get_torch_device()
    of_block = 2 * max(tensor.nbytes for tensor in queries.values())
    comfy.model_management.free_memory(2 * of_block + MEMORY_LIMIT, device)  # twice: as float32, or moved and merged
    return device
