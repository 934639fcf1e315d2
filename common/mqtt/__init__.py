"""MQTT 5: a client that stays connected, and a bounded queue in front of it."""
