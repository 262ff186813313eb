"""Python functions as jobs: registered by name, called in a worker's own process or in one beside it."""
