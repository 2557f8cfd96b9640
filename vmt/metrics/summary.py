"""Many cases in a few numbers, with how sure they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError

RESAMPLES = 2000


def summarise(scores: Sequence[dict], resamples: int = RESAMPLES, seed: int = 0) -> dict[str, dict]:
    """Mean and median of every figure over the cases, with bootstrap 95 % intervals over the cases.

    Args:
        scores: one dict per case, all with the same keys; numbers and bools count, None is undefined, text is left out.
    Returns:
        key -> {"n": defined cases, "undefined": the others, "mean", "mean_95": [low, high], "median", "median_95"};
        the figures are None where n is 0.
    Raises:
        InputError: no cases, or cases with different keys.
    """
    if not scores or any(set(score) != set(scores[0]) for score in scores):
        raise InputError(
            f"{len(scores)} cases were given; one or more with the same keys are needed. Score them all alike."
        )
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(scores), size=(resamples, len(scores)))
    keys = [key for key in scores[0] if all(_is_figure(score[key]) for score in scores)]
    return {key: _summary([score[key] for score in scores], picks) for key in keys}


def differences(scores: Sequence[dict], controls: Sequence[dict]) -> list[dict]:
    """Case by case, score minus control (None where either is undefined): `summarise` it for a paired interval."""
    if len(scores) != len(controls):
        raise InputError(f"{len(scores)} scores and {len(controls)} controls were given; give one control per score.")

    def minus(a, b):
        return None if a is None or b is None else float(a) - float(b)

    pairs = zip(scores, controls, strict=True)
    return [
        {key: minus(a[key], b[key]) for key in a if _is_figure(a[key]) and _is_figure(b.get(key))} for a, b in pairs
    ]


def _is_figure(value) -> bool:
    return value is None or isinstance(value, (bool, int, float, np.number, np.bool_))


def _summary(values: list, picks: np.ndarray) -> dict:
    values = np.array([np.nan if value is None else float(value) for value in values])
    defined = int(np.isfinite(values).sum())
    figures: dict = {"n": defined, "undefined": len(values) - defined}
    drawn = values[picks]
    drawn = drawn[np.isfinite(drawn).any(1)]  # a resample may hold undefined cases only
    for name, of in (("mean", np.nanmean), ("median", np.nanmedian)):
        figures[name] = float(of(values)) if defined else None
        figures[f"{name}_95"] = np.quantile(of(drawn, axis=1), (0.025, 0.975)).tolist() if defined else None
    return figures
