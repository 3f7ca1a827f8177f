"""The same scenarios on real sockets, in real time: the venue on the wire, toxiproxy, and ccxt."""
