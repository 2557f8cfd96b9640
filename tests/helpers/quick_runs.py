"""Changes of the demo's workflow, for `vmt.demo.transfer_runs.changed`: only that it runs is looked at."""

# With fewer steps the noised start would begin at noise alone.
QUICK = [f"VMT_MotionGuidanceSampler.{setting}" for setting in ("steps=4", "inner_steps=1")]
SMALL = [f"VMT_LoadReferenceVideo.{setting}" for setting in ("frames=9", "width=64", "height=64")]
SMALL += [f"EmptyHunyuanLatentVideo.{setting}" for setting in ("width=64", "height=64")]
