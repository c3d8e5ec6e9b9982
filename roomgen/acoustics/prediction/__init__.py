"""What a room's size and walls say of its decay before anything is simulated, and the walls that give it the RT60 asked for."""
