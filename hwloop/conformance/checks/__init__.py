"""The checks of the conformance suite, one idea per file."""
