"""The reads of Clowder 1 and 2, as far as they can be answered from the trail."""
