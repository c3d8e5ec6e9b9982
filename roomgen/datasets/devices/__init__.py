"""Devices: impulse responses of microphones and recorders, measured or drawn."""
