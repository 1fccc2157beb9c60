"""MongoDB: collections, indexes, repositories and transactions. Nobody else talks to pymongo."""
