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


class ScrambleHeads:
    """Every head's queries meet the keys of the next head."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("VMT_FEATURES",), "spoil", "VMT/bench"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"features": ("VMT_FEATURES",)}}

    def spoil(self, features):
        keys = {block: key.roll(1, dims=2) for block, key in features.keys.items()}
        return (replace(features, keys=keys, matches={}),)


NODE_CLASS_MAPPINGS = {"VMT_BenchDropCentre": DropCentre, "VMT_BenchScrambleHeads": ScrambleHeads}
