"""What any long-running process needs: signals, logs, health, threads, back-off."""
