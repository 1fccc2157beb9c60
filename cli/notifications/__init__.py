"""`jobtrail outbox`: notifications that wait, were sent or failed."""
