"""What devices say by themselves: one pure conversation per protocol, bytes in, what was understood and answers out."""
