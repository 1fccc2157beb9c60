"""`jobtrail deadletters`: list, show, replay, edit, discard, export."""
