"""Pure: values in, values out. No clock, disk, network, logger or settings in here."""
