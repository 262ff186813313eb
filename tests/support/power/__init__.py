"""A disk that records what a process does to it, and the states that a power cut may leave it in."""
