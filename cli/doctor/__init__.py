"""`jobtrail doctor`: what is wrong with the services and the data, and what to do about it."""
