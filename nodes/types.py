"""The socket types of this pack, each declared once."""

from comfy_api.latest import io

Features = io.Custom("VMT_FEATURES")  # vmt.features.MotionFeatures
AMF = io.Custom("VMT_AMF")  # vmt.signals.attention_flow.AttentionFlow
TunerOptions = io.Custom("VMT_TUNER_OPTIONS")  # fields of vmt.lora.presets.TunerConfig
FurtherClips = io.Custom("VMT_FURTHER_CLIPS")  # tuple of host.tuning_clips.CaptionedClip
GuidanceOptions = io.Custom("VMT_GUIDANCE_OPTIONS")  # guidance_options.RareOptions
