"""Tuning a video model to one motion, after Follow-Your-Motion (arXiv 2506.05207): spatial and temporal heads apart."""
