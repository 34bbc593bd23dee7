"""HTTP on sockets whose addresses are checked as they open."""
