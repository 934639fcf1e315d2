"""Receives faces from the cloud broker, writes each as one object, and answers with receipts."""
