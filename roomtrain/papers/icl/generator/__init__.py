"""The generator of device impulse responses: FAST-RIR's adversaries at 1024 samples, their rivals, and scores."""
