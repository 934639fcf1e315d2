"""What a test borrows from the machine: disks, clocks, ports, and waiting."""
