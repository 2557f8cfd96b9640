"""The guidance that the demo workflow has: windowed attention motion flow."""

from ...demo import api_graph
from .method import Method

METHOD = Method("windowed AMF guidance as the workflow has it", lambda demo: api_graph.keep(demo.full, demo.save))
