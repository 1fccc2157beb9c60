"""`jobtrail doctor`: what is wrong with the services and the trail, and what to do about it."""
