"""What a person does to files and folders, at which moments, and what must come of it."""
