"""Who does the work of a render: `local` is this machine."""
