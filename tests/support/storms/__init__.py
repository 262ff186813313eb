"""Many programs at once, killed at random; altered ones that must be caught; small disks and limits."""
