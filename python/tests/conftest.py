"""How the suite is run: see README.md."""
