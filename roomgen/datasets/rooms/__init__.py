"""Rooms: what is drawn, where sources and microphones stand, and the responses between them."""
