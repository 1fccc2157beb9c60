"""`jobtrail deadletters`: list, show, replay, edit, discard, restore, export and import dead letters."""
