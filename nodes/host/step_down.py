"""Going on with less memory when it runs out."""

import logging
from collections.abc import Callable

import comfy.model_management
import torch
from torch import Tensor

from .versions import is_oom

FREE = "Use the preset free, which needs none, or a smaller or shorter video."


class StepDown:
    """Of one run: the ways of its work that are left, each of which needs less memory than the one before."""

    def __init__(self, task: str = "motion guidance", advice: str = FREE):
        """task: what goes on. advice: what to do if nothing fits."""
        self.task, self.advice = task, advice
        self._left: list[str] = []

    def run(self, work: Callable[[str], Tensor], ways: Callable[[], tuple[str, ...]]) -> Tensor:
        """work(way), by the first way that fits; one that did not fit is not tried again in this run.

        Args:
            ways: all ways; asked once, before the first work.
        Raises:
            torch.cuda.OutOfMemoryError: not even the last way fits. Nothing has been changed.
        """
        self._left = self._left or list(ways())
        while True:
            way = self._left[0]
            try:
                return work(way)
            except Exception as error:
                if not is_oom(error):
                    raise
                told = str(error)
            # Out of the handler: the exception holds on to all that the work had made.
            if len(self._left) == 1:
                raise torch.cuda.OutOfMemoryError(
                    f"There is not enough memory for the gradient of {self.task}. {self.advice} {told}"
                )
            del self._left[0]
            comfy.model_management.soft_empty_cache()
            logging.warning(f"[VMT] Memory ran out with checkpoint {way}; {self.task} goes on with {self._left[0]}.")
