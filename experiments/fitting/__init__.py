"""From a log of one's own to a calibrated world: drift measured, a preset written, and compared."""
