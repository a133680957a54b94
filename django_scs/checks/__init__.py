"""System checks: a module for each thing they look at. docs/settings.md explains every id."""
