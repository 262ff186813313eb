"""Broken job files, strange names, damaged indexes, command lines at random."""
