"""How a patrol is told."""
