"""What the flow needs of the world, by subject: each docstring is a contract.

Every port has a real adapter and one in memory, and both pass the same conformance suite
(``tests/conformance``)."""
