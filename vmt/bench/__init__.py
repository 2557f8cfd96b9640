"""The bench: does a method carry motion, how much of the reference's look comes along, and what does it cost."""
