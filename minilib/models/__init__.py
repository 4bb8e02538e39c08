"""Models that several papers share."""
