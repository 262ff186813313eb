"""One module for each family of commands; `queuectl.cli.root` knows which command is where."""
