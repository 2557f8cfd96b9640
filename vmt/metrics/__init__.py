"""What is in a clip and how it moves, measured from the frames alone, without learned weights.

The judges know the closed world of the demo model: flat saturated things over dark or muted textured grounds. The
trajectory figures know nothing but paths and work for any video that a path was taken from.
"""
