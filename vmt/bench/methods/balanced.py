"""The guidance that the demo workflow has: the preset balanced."""

from ...demo import api_graph
from .method import Method

METHOD = Method("guidance as the workflow has it: preset balanced", lambda demo: api_graph.keep(demo.full, demo.save))
