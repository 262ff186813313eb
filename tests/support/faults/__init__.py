"""Each verb as a scenario, and what is done to the process that does it: death, kill, refused calls."""
