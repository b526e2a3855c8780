"""Recorders for training libraries, each a few lines; a module imports its library, which is an extra."""
