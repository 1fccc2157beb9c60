"""The word count: a real pyClowder extractor, as anybody would write one, without a line of JobTrail in it."""
