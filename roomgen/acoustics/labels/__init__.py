"""What is measured in an impulse response: decays and their noise floors, energy ratios, speech transmission, strength."""
