"""Adapters: implementations of the ports for databases, brokers, disks and drop folders."""
