"""Creates, renews, lists and revokes the identities of devices and services at the cloud broker."""
