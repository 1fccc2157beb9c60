"""Commands that check, rebuild and import the trail."""
