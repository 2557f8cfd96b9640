"""Match scores inside windows only: memory grows with tokens times window, not with tokens squared.

Letters: B batch, P frame pairs, S tokens per frame, N score maps (1, or one per head), D channels, K window tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor


def window_scores(queries_BPSND: Tensor, keys_BFSND: Tensor, index_PSK: Tensor) -> Tensor:
    """score[b, p, n, s, k] = <q[b, p, s, n], k[b, index[p, s, k], n]>.

    One pass over the window's places, each for all tokens at once: of the keys, only one per token is laid out at a
    time, in the backward pass too.

    Args:
        queries_BPSND: of frame i of each pair, already scaled. keys_BFSND: of the frames j, any float type.
        index_PSK: int64, numbers of the window's keys in the flattened F*S.
    Returns:
        (B,P,N,S,K), dtype of the queries. Gradient: to queries and keys.
    """
    return _WindowScores.apply(queries_BPSND, keys_BFSND, index_PSK)


class _WindowScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx, queries, keys, index):
        ctx.save_for_backward(queries, keys, index)
        batch, pairs, tokens, maps, _ = queries.shape
        scores = queries.new_empty(batch, pairs, maps, tokens, index.shape[-1])
        for place, keys_BPSND in _keys_of_places(keys, index, queries.dtype):
            scores[..., place] = (queries * keys_BPSND).sum(-1).transpose(2, 3)
        return scores

    @staticmethod
    def backward(ctx, gradient):
        queries, keys, index = ctx.saved_tensors
        to_queries, to_keys = torch.zeros_like(queries), torch.zeros_like(keys, dtype=queries.dtype).flatten(1, 2)
        for place, keys_BPSND in _keys_of_places(keys, index, queries.dtype):
            of_place = gradient[..., place].transpose(2, 3).unsqueeze(-1)
            to_queries.addcmul_(of_place, keys_BPSND)
            to_keys.index_add_(1, index[..., place].flatten(), (of_place * queries).flatten(1, 2))
        return to_queries, to_keys.to(keys.dtype).view_as(keys), None


def _keys_of_places(keys: Tensor, index: Tensor, dtype: torch.dtype):
    """(place, its key for each token of each pair (B,P,S,N,D)) for each of the window's places."""
    flat = keys.flatten(1, 2)
    for place in range(index.shape[-1]):
        chosen = index[..., place]
        yield place, flat.index_select(1, chosen.flatten()).unflatten(1, chosen.shape).to(dtype)
