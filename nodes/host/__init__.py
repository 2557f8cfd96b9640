"""The only code of this pack that knows ComfyUI's insides."""
