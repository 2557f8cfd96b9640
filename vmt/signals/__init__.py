"""Notions of motion, one file each, and the parts they share."""
