"""What exchanges do to their clients: one module per error category, and the catalogue of all."""
