"""Dataset histories, batch jobs and the console's collections in MongoDB."""
