"""Reply queue → MongoDB: decode, batch, store, acknowledge, recover."""
