"""The JSON that programs get, from `--json` and from REST alike. Every field is always there; unknown ones are null."""
