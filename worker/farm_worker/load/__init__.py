"""What this host uses: CPU and memory, as its container or the machine counts them."""
