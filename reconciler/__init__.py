"""`dataset:get-status`: asks how far datasets are, changes their histories, and tells those concerned."""
