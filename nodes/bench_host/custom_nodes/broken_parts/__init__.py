"""Nodes that spoil the motion of a reference on purpose: a bench that does not tell them from the right ones is worth
nothing. Only the bench's own ComfyUI has them."""

from dataclasses import replace


class DropCentre:
    """Displacements from the window's centre instead of from the token's place, as a public implementation has them: a
    translation cancels."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("VMT_AMF",), "spoil", "VMT/bench"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"amf": ("VMT_AMF",)}}

    def spoil(self, amf):
        blocks = {}
        for number, block in amf.blocks.items():
            moved = block.displacement_tok
            to_centre = block.centres - amf.grid.positions(moved.device, moved.dtype)
            back = block.displacement_back_tok
            from_centre = block.centres_back - amf.grid.positions(back.device, back.dtype)
            blocks[number] = replace(
                block, displacement_tok=moved - to_centre, displacement_back_tok=back - from_centre
            )
        return (replace(amf, blocks=blocks),)


class SpoilQueries:
    RETURN_TYPES, FUNCTION, CATEGORY = ("VMT_FEATURES",), "spoil", "VMT/bench"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"features": ("VMT_FEATURES",)}}

    def spoil(self, features):
        queries = {block: self.spoiled(query) for block, query in features.queries.items()}
        return (replace(features, queries=queries, matches={}),)


class ExchangeHeadsAndTokens(SpoilQueries):
    """Queries viewed as (heads, tokens) in the place of (tokens, heads), as a public implementation has them: each
    place holds heads of tokens elsewhere, also in other frames."""

    def spoiled(self, query):
        tokens, heads = query.shape[1:3]
        return query.flatten(1, 2).unflatten(1, (heads, tokens)).transpose(1, 2)


class ScrambleHeads(SpoilQueries):
    """Queries that lie as (heads, channels, tokens) read as (tokens, heads, channels): a reshape where a transpose
    belongs. Each head of a place holds a few channels of many other places."""

    def spoiled(self, query):
        return query.flatten(2).transpose(1, 2).reshape(query.shape)


NODE_CLASS_MAPPINGS = {
    "VMT_BenchDropCentre": DropCentre,
    "VMT_BenchExchangeHeadsAndTokens": ExchangeHeadsAndTokens,
    "VMT_BenchScrambleHeads": ScrambleHeads,
}
