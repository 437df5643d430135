"""Signal processing: no files, no models, no state."""
