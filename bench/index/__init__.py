"""The gallery over an index of any size, without a store."""
