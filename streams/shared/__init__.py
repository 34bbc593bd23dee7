"""What every room may use: errors, settings, pseudonyms, small files and sockets."""
