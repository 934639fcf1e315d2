"""Real counterparts for tests: brokers, a store, a link to cut, the services themselves."""
