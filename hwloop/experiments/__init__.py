"""Experiments: whole runs, from a configuration to a folder with everything in it."""
