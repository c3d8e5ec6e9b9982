"""What a room looks like: panoramas with depth, the textures of its walls, and a person in it."""
