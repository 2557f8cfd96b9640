"""Windowed attention motion flow alone, by the settings of the workflow: FastVMT's signal (arXiv 2602.05551)."""

from .method import Method, with_preset

METHOD = Method("windowed AMF alone, several gradients a step", with_preset("custom"))
