"""What people would pick instead: each fills a new folder with jobs, then works them off."""
