"""Takes faces off the cloud broker and writes each as one object; answers with receipts."""
