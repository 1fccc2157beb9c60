"""HTTP: pages, REST, Clowder's endpoints and live updates."""
