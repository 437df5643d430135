"""Playing a pack live, or a MIDI file through the same engine."""
