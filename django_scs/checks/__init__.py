"""System checks, each with an id that docs/settings.md explains."""
