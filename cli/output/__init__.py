"""How commands print: tables, status lists, progress, errors."""
