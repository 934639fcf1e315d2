"""The camera as a device of Home Assistant's."""
