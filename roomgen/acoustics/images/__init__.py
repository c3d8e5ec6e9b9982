"""Image sources of shoeboxes: tables along each axis, the loop over images on CPU and GPU, and the pulses that they add."""
